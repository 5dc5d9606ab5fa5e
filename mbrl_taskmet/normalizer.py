"""Observations in units of their own spread, so that weights compare between dimensions."""

from typing import NamedTuple

from torch import Tensor

from mbrl_taskmet.batch import Batch


class Normalizer(NamedTuple):
    """x ↦ (x − mean) · scale, dimension by dimension.

    Attributes:
        mean: shape (n,).
        scale: inverse standard deviation, shape (n,).
    """

    mean: Tensor
    scale: Tensor

    def __call__(self, observations: Tensor) -> Tensor:
        """Normalise observations of shape (B, n)."""
        return (observations - self.mean) * self.scale

    def normalize(self, batch: Batch) -> Batch:
        """Normalise the observations of a batch."""
        return batch._replace(
            observations=self(batch.observations), next_observations=self(batch.next_observations)
        )


def identity_like(tensor: Tensor, num_dimensions: int) -> Normalizer:
    """The normaliser that changes nothing in n dimensions, of a tensor's type and device."""
    return Normalizer(tensor.new_zeros(num_dimensions), tensor.new_ones(num_dimensions))
