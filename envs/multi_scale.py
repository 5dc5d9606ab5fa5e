"""Noise of very different variances: whatever compares dimensions must know their scales."""

from dataclasses import dataclass

import numpy as np

from .gaussian import Gaussian
from .process import FloatArray, Site
from .validation import check_real


@dataclass(frozen=True)
class MultiScale(Gaussian):
    """Independent Gaussian noise of k scales: x_{t,i} = σ h_i ε_{t,i} with ε_t ~ N(0, I).

    The factors h are spaced evenly in their logarithm from the smallest, at dimension 0, to the
    largest: 0.01, 0.1, 1, 10 and 100 for five dimensions; a single one has their geometric mean.
    The layout is the standard deviation of each dimension, shape (k,); nothing of it is drawn.

    Attributes:
        smallest_factor: h of the first dimension, above 0.
        largest_factor: h of the last dimension, finite and at least `smallest_factor`.

    Raises:
        ValueError: if the factors are out of order, infinite or not positive.
    """

    smallest_factor: float = 0.01
    largest_factor: float = 100.0

    def __post_init__(self) -> None:
        check_real("smallest_factor", self.smallest_factor)
        check_real("largest_factor", self.largest_factor)
        if not 0 < self.smallest_factor <= self.largest_factor < np.inf:
            raise ValueError(
                "Noise of many scales needs 0 < smallest_factor <= largest_factor, both finite, "
                f"got {self.smallest_factor} and {self.largest_factor}: "
                "choose factors such as 0.01 and 100."
            )

    def layout(self, site: Site, rng: np.random.Generator) -> FloatArray:
        """Space the standard deviations out."""
        if site.num_distractors == 1:
            return np.array([site.noise_std * np.sqrt(self.smallest_factor * self.largest_factor)])
        factors = np.geomspace(self.smallest_factor, self.largest_factor, site.num_distractors)
        return site.noise_std * factors
