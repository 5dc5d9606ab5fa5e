"""Noise with a memory: partly predictable from its own past, and useless."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .process import DistractorProcess, FloatArray, Site
from .validation import check_real


@dataclass(frozen=True)
class Autoregressive(DistractorProcess[FloatArray]):
    """First-order autoregression: x_{t+1} = ρ x_t + √(1 − ρ²) σ ε_{t+1}.

    It starts from its stationary distribution N(0, σ²), so that no step of an episode can be
    told from another, and Corr(x_t, x_{t+h}) = ρ^h. With ρ = 0 it is `Gaussian`.
    The layout is the standard deviation of each dimension, shape (k,).

    Attributes:
        autocorrelation: ρ, at least 0 and less than 1.

    Raises:
        ValueError: if `autocorrelation` is outside [0, 1).
    """

    autocorrelation: float = 0.95

    def __post_init__(self) -> None:
        check_real("autocorrelation", self.autocorrelation)
        if not 0 <= self.autocorrelation < 1:
            raise ValueError(
                f"autocorrelation must be at least 0 and less than 1, got {self.autocorrelation}: "
                "choose a value such as 0.95."
            )

    def layout(self, site: Site, rng: np.random.Generator) -> FloatArray:
        """Give every dimension the same stationary standard deviation σ."""
        return np.full(site.num_distractors, site.noise_std)

    def start(
        self, layout: FloatArray, observation: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        """Draw x_0 from the stationary distribution."""
        return layout * rng.standard_normal(layout.shape)

    def advance(
        self,
        layout: FloatArray,
        state: FloatArray,
        action: Any,
        observation: FloatArray,
        rng: np.random.Generator,
    ) -> FloatArray:
        """Draw x_{t+1} given x_t."""
        rho = self.autocorrelation
        innovation_std = layout * math.sqrt(1 - rho**2)
        return rho * state + innovation_std * rng.standard_normal(layout.shape)
