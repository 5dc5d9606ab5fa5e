"""Forms of a metric: how raw numbers become a positive definite matrix Λ."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import softplus

from mbrl_taskmet.networks import Rows

UNIT_SOFTPLUS = math.log(math.e - 1)
"""softplus⁻¹(1): the raw number of a weight of one."""


class Weighing(Protocol):
    """How raw numbers become weights of errors."""

    def identity(self) -> Tensor:
        """The raw numbers at which errors stay as they are, shape (R,)."""

    def product(self, raw: Tensor) -> Rows:
        """The map x ↦ Λ x of each row x, made once to be used often.

        Of (R,) for any number of rows, of (B, R) for B rows, one for each Λ.
        """


class Form(Weighing, Protocol):
    """How raw numbers become a positive definite matrix Λ on n dimensions."""

    def diagonal(self, raw: Tensor) -> Tensor:
        """The diagonal of Λ, the dimensions' weights: (…, R) → (…, n)."""

    def matrix(self, raw: Tensor) -> Tensor | None:
        """Λ where it is more than its diagonal, else None: (…, R) → (…, n, n)."""

    def clamp(self, raw: Tensor) -> Tensor:
        """Raw numbers brought within the form's bounds, if it has any: (…, R) → (…, R)."""


@dataclass(frozen=True)
class Diagonal:
    """Λ = diag(λ), λ = softplus(raw), rescaled to ‖λ‖₂ = √n if normalised.

    The norm keeps the metric from shrinking the whole loss instead of choosing between
    dimensions, and makes the identity the starting point (TaskMet, arXiv 2312.05250, section 5).

    Attributes:
        num_dimensions: n.
        normalize: whether to rescale.
        largest: bound of a weight before it is rescaled, whose inverse bounds it below.
    """

    num_dimensions: int
    normalize: bool = True
    largest: float = math.inf

    def identity(self) -> Tensor:
        """Raw numbers at which every weight is one, shape (n,)."""
        return torch.full((self.num_dimensions,), UNIT_SOFTPLUS, dtype=torch.float64)

    def clamp(self, raw: Tensor) -> Tensor:
        """Raw numbers of weights from 1 / largest to largest: (…, n) → (…, n)."""
        return _clamp(raw, self.largest)

    def diagonal(self, raw: Tensor) -> Tensor:
        """The weights λ: (…, n) → (…, n)."""
        weights = softplus(raw)
        if self.normalize:
            norm = torch.linalg.vector_norm(weights, dim=-1, keepdim=True)
            weights = weights * (math.sqrt(self.num_dimensions) / norm)
        return weights

    def product(self, raw: Tensor) -> Rows:
        """The map x ↦ λ ∘ x of each row x."""
        weights = self.diagonal(raw)
        return lambda rows: weights * rows

    def matrix(self, raw: Tensor) -> None:
        """None: the diagonal says all."""
        return None


@dataclass(frozen=True)
class Cholesky:
    """Λ = L Lᵀ with L lower triangular and positive on its diagonal (by softplus).

    Rescaled, if normalised, to the Frobenius norm √n, which for a diagonal matrix is the
    normalisation of `Diagonal`.

    Attributes:
        num_dimensions: n.
        normalize: whether to rescale.
        largest: bound of a weight Λ_ii = Σ_j L_ij² before it is rescaled; its inverse bounds L_ii²
            below.
    """

    num_dimensions: int
    normalize: bool = True
    largest: float = math.inf

    def clamp(self, raw: Tensor) -> Tensor:
        """Raw numbers within the bounds, L_ii first, then the rest of its row as one."""
        if math.isinf(self.largest):
            return raw
        n = self.num_dimensions
        row = torch.tril_indices(n, n, -1, device=raw.device)[0]
        pivots, below = _clamp(raw[..., :n], math.sqrt(self.largest)), raw[..., n:]
        squares = torch.zeros_like(pivots).index_add(-1, row, below.square())
        room = (self.largest - softplus(pivots).square()).clamp_min(0)
        shrink = (room / squares.clamp_min(torch.finfo(raw.dtype).tiny)).sqrt().clamp_max(1)
        return torch.cat([pivots, below * shrink[..., row]], -1)

    def identity(self) -> Tensor:
        """Raw numbers of L = I, shape (n (n + 1) / 2,): the diagonal's first."""
        n = self.num_dimensions
        below = torch.zeros(n * (n - 1) // 2, dtype=torch.float64)
        return torch.cat([torch.full((n,), UNIT_SOFTPLUS, dtype=torch.float64), below])

    def factor(self, raw: Tensor) -> Tensor:
        """L, so that Λ = L Lᵀ: (…, R) → (…, n, n)."""
        factor = self._unscaled_factor(raw)
        return factor * self._rescaling(factor @ factor.mT).sqrt() if self.normalize else factor

    def matrix(self, raw: Tensor) -> Tensor:
        """Λ = L Lᵀ: (…, R) → (…, n, n)."""
        factor = self._unscaled_factor(raw)
        matrix = factor @ factor.mT
        return matrix * self._rescaling(matrix) if self.normalize else matrix

    def _unscaled_factor(self, raw: Tensor) -> Tensor:
        n = self.num_dimensions
        row = torch.arange(n, device=raw.device).unsqueeze(-1)
        column = row.mT
        # Entry (i, j < i) is raw number n + i (i − 1) / 2 + j, entry (i, i) raw number i.
        below = raw[..., torch.where(column < row, n + row * (row - 1) // 2 + column, 0)]
        return torch.where(column < row, below, 0) + torch.diag_embed(softplus(raw[..., :n]))

    def _rescaling(self, matrix: Tensor) -> Tensor:
        """√n / ‖Λ‖, shape (…, 1, 1)."""
        norm: Tensor = torch.linalg.matrix_norm(matrix, keepdim=True)
        return math.sqrt(self.num_dimensions) / norm

    def diagonal(self, raw: Tensor) -> Tensor:
        """diag(L Lᵀ): (…, R) → (…, n)."""
        return self.factor(raw).square().sum(-1)

    def product(self, raw: Tensor) -> Rows:
        """The map x ↦ Λ x of each row x.

        One Λ for all rows is multiplied out first, one for each row stays L Lᵀ.
        """
        if raw.dim() == 1:
            matrix = self.matrix(raw)
            return lambda rows: rows @ matrix
        factor = self.factor(raw)
        return lambda rows: (rows.unsqueeze(-2) @ factor @ factor.mT).squeeze(-2)


@dataclass(frozen=True)
class Scaled:
    """D^½ Λ D^½ of another form's Λ, with D = diag(scale): its weights times the scale.

    Attributes:
        form: of Λ.
        scale: shape (n,), not negative.
    """

    form: Form
    scale: Tensor

    def identity(self) -> Tensor:
        """The raw numbers of Λ = I."""
        return self.form.identity()

    def clamp(self, raw: Tensor) -> Tensor:
        """As the other form's."""
        return self.form.clamp(raw)

    def diagonal(self, raw: Tensor) -> Tensor:
        """The scaled weights: (…, R) → (…, n)."""
        return self.scale * self.form.diagonal(raw)

    def product(self, raw: Tensor) -> Rows:
        """The map x ↦ D^½ Λ D^½ x of each row x."""
        root, inner = self.scale.sqrt(), self.form.product(raw)
        return lambda rows: root * inner(root * rows)

    def matrix(self, raw: Tensor) -> Tensor | None:
        """D^½ Λ D^½ where it is more than its diagonal: (…, R) → (…, n, n)."""
        root, inner = self.scale.sqrt(), self.form.matrix(raw)
        return None if inner is None else root.unsqueeze(-1) * inner * root


def _clamp(raw: Tensor, largest: float) -> Tensor:
    """Raw numbers whose softplus lies between 1 / largest and largest."""
    if math.isinf(largest):
        return raw
    least, most = (x + math.log(-math.expm1(-x)) for x in (1 / largest, largest))  # softplus⁻¹
    return raw.clamp(least, most)
