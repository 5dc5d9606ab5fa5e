"""Weights of errors beside the core's diagonal and full metrics."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from mbrl_taskmet.forms import UNIT_SOFTPLUS
from mbrl_taskmet.networks import Rows


@dataclass(frozen=True)
class Scalar:
    """Λ = λ I, λ = softplus(raw): how much a row counts, and not which of its dimensions.

    Attributes:
        num_dimensions: n.
    """

    num_dimensions: int

    def identity(self) -> Tensor:
        """The raw number of λ = 1, shape (1,)."""
        return torch.full((1,), UNIT_SOFTPLUS, dtype=torch.float64)

    def product(self, raw: Tensor) -> Rows:
        """The map x ↦ λ x of each row x."""
        weight = softplus(raw)
        return lambda rows: weight * rows

    def matrix(self, raw: Tensor) -> None:
        """None: the diagonal says all."""
        return None

    def diagonal(self, raw: Tensor) -> Tensor:
        """The weights, all alike: (…, 1) → (…, n)."""
        return softplus(raw).expand(*raw.shape[:-1], self.num_dimensions)

    def clamp(self, raw: Tensor) -> Tensor:
        """The raw number as it is."""
        return raw


@dataclass(frozen=True)
class Directed:
    """A weight for errors above zero and one for errors below it, in each dimension.

    No form of a metric, since Λ depends on the sign of what it is applied to, but one of a local
    loss (LODL's DirectedWeightedMSE, arXiv 2203.16067).

    Attributes:
        num_dimensions: n.
    """

    num_dimensions: int

    def identity(self) -> Tensor:
        """Raw numbers at which both weights are one, shape (2 n,): those from above first."""
        return torch.full((2 * self.num_dimensions,), UNIT_SOFTPLUS, dtype=torch.float64)

    def product(self, raw: Tensor) -> Rows:
        """The map of each row x to λ⁺ x where x > 0 and λ⁻ x elsewhere."""
        above, below = torch.split(softplus(raw), self.num_dimensions, -1)
        return lambda rows: torch.where(rows > 0, above, below) * rows
