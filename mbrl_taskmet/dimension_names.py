"""What the dimensions of an observation are called."""

from collections.abc import Iterable
from typing import Any

from mbrl_taskmet.known_names import KNOWN_NAMES

KEEPING = (
    "DelayObservation",
    "DtypeObservation",
    "FlattenObservation",
    "NormalizeObservation",
    "RescaleObservation",
)
"""Gymnasium's wrappers whose dimensions stay in their places: by name, to do without Gymnasium."""


def names_of(env: Any, num_dimensions: int) -> tuple[str, ...]:
    """Name the dimensions of an environment's observations.

    An environment may name its own dimensions by an attribute `dimension_names`.

    Args:
        env: a `gymnasium.Env`.
        num_dimensions: number of dimensions of its observations, n.

    Returns:
        n names; `observation_0`, `observation_1`, ... where the meaning is unknown, as after a
        `gymnasium.ObservationWrapper` that names none itself. Any other wrapper that changes
        observations has to, since nothing shows that it does.

    Raises:
        ValueError: if what the environment says are not different names.
    """
    return dimension_names(_own_names(env), num_dimensions)


def _own_names(env: Any) -> object:
    """What is said from the outside in, up to where dimensions become others; None if nothing."""
    while not hasattr(env, "dimension_names"):
        if env is env.unwrapped:
            base = type(env)
            return KNOWN_NAMES.get(f"{base.__module__}:{base.__name__}")
        if hasattr(type(env), "observation") and type(env).__name__ not in KEEPING:
            return None  # a `gymnasium.ObservationWrapper`, which has this method
        env = env.env
    return env.dimension_names


def dimension_names(own: object, num_dimensions: int) -> tuple[str, ...]:
    """Name the dimensions of an observation, by what its environment says or by numbers.

    Args:
        own: the environment's `dimension_names`; None if it has none.
        num_dimensions: n.

    Returns:
        n names; `observation_0`, `observation_1`, ... where the environment names another number of
        dimensions, as when a wrapper in between has added or removed some.

    Raises:
        ValueError: if what the environment says are not different names.
    """
    if own is None:
        return numbered(num_dimensions)
    names = tuple(own) if isinstance(own, Iterable) else (own,)
    are_names = not isinstance(own, str) and all(isinstance(name, str) for name in names)
    if not are_names or len(set(names)) < len(names):
        raise ValueError(
            f"dimension_names of an environment must be different names; got {own!r}: make it a "
            "list of one string for each dimension."
        )
    return names if len(names) == num_dimensions else numbered(num_dimensions)


def numbered(num_dimensions: int) -> tuple[str, ...]:
    """Names of dimensions of which nothing is known."""
    return tuple(f"observation_{i}" for i in range(num_dimensions))
