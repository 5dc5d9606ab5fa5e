"""Waves: predictable, and useless."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .process import DistractorProcess, FloatArray, Site
from .validation import check_real


class Waves(NamedTuple):
    """Layout of `Sinusoid`.

    Attributes:
        frequencies: ω in radians per step, shape (k,).
        amplitudes: σ√2, shape (k,).
    """

    frequencies: FloatArray
    amplitudes: FloatArray


@dataclass(frozen=True)
class Sinusoid(DistractorProcess[Waves]):
    """A wave per dimension: x_t = σ√2 sin(ω t + u), u uniform on the circle in each episode.

    Its standard deviation over phases is σ and x_{t+1} = 2 cos(ω) x_t − x_{t−1} exactly; from
    x_t alone a share cos²(ω) of its variance is predictable by a linear model (0.90 at a period
    of 20 steps, 0.999 at 200), the rest being the sign of its slope. Frequencies belong to the
    layout, their periods drawn log-uniformly. The state is the angle ω t + u, shape (k,).

    Attributes:
        shortest_period: steps per turn of the fastest wave, more than 2.
        longest_period: steps per turn of the slowest wave, at least `shortest_period`.

    Raises:
        ValueError: if the periods are out of order, infinite or not above 2, below which a wave
            sampled once a step looks like a slower one.
    """

    shortest_period: float = 20.0
    longest_period: float = 200.0

    def __post_init__(self) -> None:
        check_real("shortest_period", self.shortest_period)
        check_real("longest_period", self.longest_period)
        if not 2 < self.shortest_period <= self.longest_period < np.inf:
            raise ValueError(
                "A sinusoid needs 2 < shortest_period <= longest_period, in steps, "
                f"got {self.shortest_period} and {self.longest_period}: "
                "choose periods such as 20 and 200."
            )

    def layout(self, site: Site, rng: np.random.Generator) -> Waves:
        """Draw the frequency of each dimension."""
        log_periods = rng.uniform(
            np.log(self.shortest_period), np.log(self.longest_period), site.num_distractors
        )
        return Waves(
            frequencies=2 * np.pi / np.exp(log_periods),
            amplitudes=np.full(site.num_distractors, np.sqrt(2) * site.noise_std),
        )

    def start(self, layout: Waves, observation: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Draw the phase u of each dimension."""
        return rng.uniform(0, 2 * np.pi, layout.frequencies.shape)

    def advance(
        self,
        layout: Waves,
        state: FloatArray,
        action: Any,
        observation: FloatArray,
        rng: np.random.Generator,
    ) -> FloatArray:
        """Turn each angle by ω."""
        return state + layout.frequencies

    def values(self, layout: Waves, state: FloatArray) -> FloatArray:
        """Return σ√2 sin(angle), shape (k,)."""
        return layout.amplitudes * np.sin(state)

    def bounds(self, layout: Waves) -> tuple[FloatArray, FloatArray]:
        """Return −σ√2 and σ√2 for each dimension."""
        return -layout.amplitudes, layout.amplitudes
