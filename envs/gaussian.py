"""Independent noise, the distractors of the TaskMet paper (arXiv 2312.05250)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .process import DistractorProcess, FloatArray, Site


@dataclass(frozen=True)
class Gaussian(DistractorProcess[FloatArray]):
    """Independent Gaussian noise at every step: x_t = σ ε_t with ε_t ~ N(0, I).

    The layout is the standard deviation of each dimension, shape (k,).
    """

    def layout(self, site: Site, rng: np.random.Generator) -> FloatArray:
        """Give every dimension the same standard deviation σ."""
        return np.full(site.num_distractors, site.noise_std)

    def start(
        self, layout: FloatArray, observation: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        """Draw σ ε_0."""
        return layout * rng.standard_normal(layout.shape)

    def advance(
        self,
        layout: FloatArray,
        state: FloatArray,
        action: Any,
        observation: FloatArray,
        rng: np.random.Generator,
    ) -> FloatArray:
        """Draw σ ε_t, whatever came before."""
        return layout * rng.standard_normal(layout.shape)
