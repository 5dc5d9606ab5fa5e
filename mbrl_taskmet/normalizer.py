"""Observations in units of their own spread, so that weights compare between dimensions."""

from typing import NamedTuple

import torch
from torch import Tensor

from mbrl_taskmet.batch import Batch

LARGEST = 10.0
"""Normalised observation beyond which it is cut, as in Stable-Baselines3's `VecNormalize`.

Units follow what was seen: a dimension that has been at rest has next to none, and is worth any
number when it begins to move."""


class Normalizer(NamedTuple):
    """x ↦ (x − mean) · scale, dimension by dimension, cut where it is very large.

    Attributes:
        mean: shape (n,).
        scale: inverse standard deviation, shape (n,).
        largest: absolute value at which the result is cut, shape ().
    """

    mean: Tensor
    scale: Tensor
    largest: Tensor

    def __call__(self, observations: Tensor) -> Tensor:
        """Normalise observations of shape (B, n)."""
        normalized = (observations - self.mean) * self.scale
        return torch.clamp(normalized, -self.largest, self.largest)

    def normalize(self, batch: Batch) -> Batch:
        """Normalise the observations of a batch."""
        return batch._replace(
            observations=self(batch.observations), next_observations=self(batch.next_observations)
        )


def standardizer(mean: Tensor, std: Tensor) -> Normalizer:
    """The normaliser by mean and standard deviation of each dimension, shape (n,) each."""
    return Normalizer(mean, 1 / std, mean.new_tensor(LARGEST))


def identity_like(tensor: Tensor, num_dimensions: int) -> Normalizer:
    """The normaliser that changes nothing in n dimensions, of a tensor's type and device."""
    return Normalizer(
        tensor.new_zeros(num_dimensions),
        tensor.new_ones(num_dimensions),
        tensor.new_tensor(torch.inf),
    )
