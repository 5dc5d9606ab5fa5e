"""Noisy copies: useful in the place of real dimensions, and needless beside them."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from .process import DistractorProcess, FloatArray, Site
from .validation import check_non_negative


class Copies(NamedTuple):
    """Layout of `Redundant`.

    Attributes:
        sources: index of the dimension that each distractor copies, shape (k,).
        noise_stds: standard deviation of the noise on each copy, in its units, shape (k,).
    """

    sources: NDArray[np.intp]
    noise_stds: FloatArray


@dataclass(frozen=True)
class Redundant(DistractorProcess[Copies]):
    """Noisy copies: x_{t,i} = s_{t,j} + σ c h_j ε_{t,i} with j = i mod n.

    A copy has the units of the dimension it copies, and so must its noise: h_j is half the
    range of dimension j, or 1 in its own units if it is unbounded, as velocities often are.
    By default (σ = 1, c = 0.05) a copy of CartPole's pole angle, bounded by ±0.42 rad, is off
    by 0.02 rad and that of its unbounded velocities by 0.05 per second.

    Attributes:
        relative_noise: c, the noise at σ = 1 as a fraction of half the range, not negative.

    Raises:
        ValueError: if `relative_noise` is negative.
    """

    relative_noise: float = 0.05

    def __post_init__(self) -> None:
        check_non_negative("relative_noise", self.relative_noise)

    def layout(self, site: Site, rng: np.random.Generator) -> Copies:
        """Deal the real dimensions out in turn."""
        half_ranges = _half_ranges(site.observation_space)
        sources = np.arange(site.num_distractors) % len(half_ranges)
        return Copies(sources, site.noise_std * self.relative_noise * half_ranges[sources])

    def start(
        self, layout: Copies, observation: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        """Copy the first observation."""
        return _noisy_copy(layout, observation, rng)

    def advance(
        self,
        layout: Copies,
        state: FloatArray,
        action: Any,
        observation: FloatArray,
        rng: np.random.Generator,
    ) -> FloatArray:
        """Copy the next observation."""
        return _noisy_copy(layout, observation, rng)


def _noisy_copy(layout: Copies, observation: FloatArray, rng: np.random.Generator) -> FloatArray:
    noise = layout.noise_stds * rng.standard_normal(layout.noise_stds.shape)
    return observation[layout.sources] + noise


def _half_ranges(space: gym.spaces.Box) -> FloatArray:
    """Return half the range of each dimension, 1 where it is unbounded, shape (n,)."""
    half_ranges = (space.high.astype(np.float64) - space.low.astype(np.float64)) / 2
    # Some environments write "unbounded" as the largest float32 instead of infinity.
    return np.where(half_ranges < np.finfo(np.float32).max, half_ranges, 1.0)
