"""Noise turned into every dimension: no weight on a single dimension can tell it from the rest."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .process import DistractorProcess, FloatArray, Site


class Rotation(NamedTuple):
    """Layout of `Projected`.

    Attributes:
        matrix: R, orthogonal, shape (n + k, n + k).
        noise_stds: standard deviation of each noise dimension before it is turned, shape (k,).
    """

    matrix: FloatArray
    noise_stds: FloatArray


@dataclass(frozen=True)
class Projected(DistractorProcess[Rotation]):
    """Real dimensions and Gaussian noise, turned together: o_t = R (s_t, σ ε_t).

    R is drawn uniformly from the orthogonal matrices. Every dimension of the observation then
    holds a share of every real dimension and of the noise: a diagonal metric can drop none of
    them, a full one can still weigh s alone, by R (I, 0) Rᵀ. With k = 0 nothing is turned.
    """

    def layout(self, site: Site, rng: np.random.Generator) -> Rotation:
        """Draw the rotation R."""
        num_real = site.observation_space.shape[0]
        return Rotation(
            matrix=_random_orthogonal(num_real + site.num_distractors, rng),
            noise_stds=np.full(site.num_distractors, site.noise_std),
        )

    def start(
        self, layout: Rotation, observation: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        """Draw σ ε_0."""
        return layout.noise_stds * rng.standard_normal(layout.noise_stds.shape)

    def advance(
        self,
        layout: Rotation,
        state: FloatArray,
        action: Any,
        observation: FloatArray,
        rng: np.random.Generator,
    ) -> FloatArray:
        """Draw σ ε_t, whatever came before."""
        return layout.noise_stds * rng.standard_normal(layout.noise_stds.shape)

    def mixing(self, layout: Rotation) -> FloatArray | None:
        """Return R, or nothing where there is no noise to turn."""
        return layout.matrix if len(layout.noise_stds) else None


def _random_orthogonal(size: int, rng: np.random.Generator) -> FloatArray:
    """Draw from the uniform distribution over orthogonal matrices (Mezzadri 2007).

    The factor Q of a Gaussian matrix is uniform once the signs, which QR leaves open, are those
    that make the diagonal of R positive.
    """
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    turned: FloatArray = q * np.sign(np.diag(r))
    return turned
