"""What an environment returns is refused where its spaces promise something else."""

from collections.abc import Sequence
from typing import Any

import numpy as np

REAL_KINDS = "fiub"
"""Kinds of NumPy's types that are real numbers."""


def check_observation(observation: Any, shape: Sequence[int], step: int) -> None:
    """Refuse an observation that would be broadcast or misread further on.

    Args:
        observation: as it was returned.
        shape: of the observation space.
        step: of the environment, for the message; 0 for the first observation.

    Raises:
        ValueError: if it is of another shape, or not of real numbers.
    """
    array = np.asarray(observation)
    if array.shape != shape or array.dtype.kind not in REAL_KINDS:
        raise ValueError(
            f"The environment returned an observation of shape {array.shape} and type "
            f"{array.dtype} at step {step}: return real numbers of shape {tuple(shape)}, "
            "as its observation space says."
        )


def check_reward(reward: Any, step: int) -> None:
    """Refuse a reward that is no number.

    Raises:
        ValueError: if it is not a real number.
    """
    array = np.asarray(reward)
    if array.ndim != 0 or array.dtype.kind not in REAL_KINDS:
        raise ValueError(
            f"The environment returned the reward {reward!r} at step {step}: return a float."
        )
