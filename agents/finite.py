"""A run stops at the first number that is not finite, saying which and when."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..dimension_names import numbered


class DivergenceError(FloatingPointError):
    """A learner has left the finite numbers, though all of its experience was finite."""


def check_experience(
    observations: np.ndarray, rewards: np.ndarray, names: Sequence[str], step: int
) -> None:
    """Refuse what an environment returned.

    Args:
        observations: shape (N, n).
        rewards: shape (N,) or empty.
        names: of the n dimensions.
        step: of the environment, for the message.

    Raises:
        FloatingPointError: if a number is not finite, or too large for single precision, in which
            experience is kept.
    """
    with np.errstate(over="ignore"):  # what becomes infinite is found by that
        seen, paid = np.asarray(observations, np.float32), np.asarray(rewards, np.float32)
    if np.isfinite(seen).all() and np.isfinite(paid).all():
        return
    if np.isfinite(seen).all():
        what = f"reward {rewards[~np.isfinite(paid)][0]}"
    else:
        row, column = np.argwhere(~np.isfinite(seen))[0]
        value = observations[row, column]
        what = f"observation {value} in dimension {column} ({names[column]})"
    raise FloatingPointError(
        f"The environment returned the {what} at step {step}: "
        "repair the environment, or bound what it returns."
    )


def check_evaluation(local: Mapping[str, Any], _: Mapping[str, Any]) -> None:
    """Refuse what an environment returned, as a callback of Stable-Baselines3's `evaluate_policy`.

    Args:
        local: its local variables after the step of one environment.

    Raises:
        FloatingPointError: if a number is not finite; the step is that of the episode.
    """
    index = local["i"]
    observation = local["new_observations"][index]
    names = getattr(local["model"], "dimension_names", None) or numbered(len(observation))
    step = local["current_lengths"][index]
    check_experience(observation[None], np.atleast_1d(local["reward"]), names, step)


def check_losses(losses: Mapping[str, float], updates: int, step: int) -> None:
    """Refuse what an update reported.

    Raises:
        DivergenceError: if a number is not finite.
    """
    for name, value in losses.items():
        if not np.isfinite(value):
            raise divergence(f"{name} is {value}", updates, step)


def divergence(what: str, updates: int, step: int) -> DivergenceError:
    """The error, saying what is not finite and when."""
    return DivergenceError(
        f"{what} after {updates} updates ({step} steps): lower the learning rates or scale the "
        "observations and rewards."
    )
