"""Metrics Λ_φ(s, a) on prediction errors: what the model is told to get right.

A metric has a form (`Diagonal` or `Cholesky`), which turns raw numbers into a positive definite
matrix, and raw numbers that are either the parameters φ themselves or, for a conditional
metric, a network's outputs at (s, a).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import softplus

from mbrl_taskmet.mlp import MLP
from mbrl_taskmet.networks import Linearization, Rows

UNIT_SOFTPLUS = math.log(math.e - 1)
"""softplus⁻¹(1): the raw number of a weight of one."""


class Form(Protocol):
    """How raw numbers become a positive definite matrix on n dimensions."""

    def identity(self) -> Tensor:
        """The raw numbers of the identity matrix, shape (R,)."""

    def product(self, raw: Tensor) -> Rows:
        """The map x ↦ Λ x of each row x, made once to be used often.

        Of (R,) for any number of rows, of (B, R) for B rows, one for each Λ.
        """

    def diagonal(self, raw: Tensor) -> Tensor:
        """The diagonal of Λ, the dimensions' weights: (…, R) → (…, n)."""

    def matrix(self, raw: Tensor) -> Tensor | None:
        """Λ where it is more than its diagonal, else None: (…, R) → (…, n, n)."""

    def clamp(self, raw: Tensor) -> Tensor:
        """The nearest raw numbers within the form's bounds, if it has any: (…, R) → (…, R)."""


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
        largest: bound of the squares of L's diagonal before it is rescaled, whose inverse bounds
            them below; the rest of L is not bounded.
    """

    num_dimensions: int
    normalize: bool = True
    largest: float = math.inf

    def clamp(self, raw: Tensor) -> Tensor:
        """Raw numbers of a diagonal of L from largest^−½ to largest^½: (…, R) → (…, R)."""
        n = self.num_dimensions
        return torch.cat([_clamp(raw[..., :n], math.sqrt(self.largest)), raw[..., n:]], -1)

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


class Metric(Protocol):
    """A positive definite Λ_φ(s, a)."""

    def init(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
        """φ at which Λ is the identity, so that training starts at the mean squared error."""

    def at(self, parameters: Tensor, inputs: Tensor) -> Rows:
        """The map x ↦ Λ_φ(s, a) x of rows that belong to these, made once to be used often."""

    def apply(self, parameters: Tensor, inputs: Tensor, vectors: Tensor) -> Tensor:
        """Λ_φ(s, a) x row by row: φ, (B, n + d), (B, n) → (B, n)."""

    def weights(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """The diagonal of Λ_φ: shape (n,), or (B, n) if it depends on (s, a)."""

    def matrix(self, parameters: Tensor, inputs: Tensor) -> Tensor | None:
        """Λ_φ where it is more than its diagonal: (n, n), or (B, n, n) if it depends on (s, a)."""

    def gauss_newton(
        self, parameters: Tensor, inputs: Tensor, model: Linearization
    ) -> Callable[[Tensor], Tensor]:
        """The product u ↦ Jᵀ Λ_φ J u with the model's Jacobian J: (P,) → (P,)."""

    def clamp(self, parameters: Tensor) -> Tensor:
        """φ within the form's bounds, where φ is the form's raw numbers."""

    def scaled(self, scale: Tensor) -> "Metric":
        """The metric D^½ Λ_φ D^½ with D = diag(scale), scale of shape (n,)."""


@dataclass(frozen=True)
class UnconditionalMetric:
    """One matrix for all (s, a): φ is the form's raw numbers."""

    form: Form

    def init(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
        """The identity; nothing is drawn."""
        return self.form.identity().to(dtype)

    def at(self, parameters: Tensor, inputs: Tensor) -> Rows:
        """The map x ↦ Λ_φ x, the same everywhere."""
        return self.form.product(parameters)

    def apply(self, parameters: Tensor, inputs: Tensor, vectors: Tensor) -> Tensor:
        """Λ_φ x for each row x."""
        return self.at(parameters, inputs)(vectors)

    def weights(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """The diagonal of Λ_φ, shape (n,)."""
        return self.form.diagonal(parameters)

    def matrix(self, parameters: Tensor, inputs: Tensor) -> Tensor | None:
        """Λ_φ where it is more than its diagonal, shape (n, n)."""
        return self.form.matrix(parameters)

    def gauss_newton(
        self, parameters: Tensor, inputs: Tensor, model: Linearization
    ) -> Callable[[Tensor], Tensor]:
        """The product u ↦ Jᵀ Λ_φ J u, in which a network may fold the one Λ into its layers."""
        return model.gauss_newton(self.at(parameters, inputs))

    def clamp(self, parameters: Tensor) -> Tensor:
        """φ within the form's bounds."""
        return self.form.clamp(parameters)

    def scaled(self, scale: Tensor) -> "UnconditionalMetric":
        """D^½ Λ_φ D^½."""
        return UnconditionalMetric(Scaled(self.form, scale))


@dataclass(frozen=True)
class ConditionalMetric:
    """A matrix for each (s, a): a perceptron gives the form's raw numbers.

    Attributes:
        form: turns raw numbers into a matrix.
        network: maps (s, a), shape (B, n + d), to raw numbers, shape (B, R).
    """

    form: Form
    network: MLP

    def init(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
        """Random hidden layers under a last layer that is constant at the identity."""
        raw = self.form.identity().to(dtype)
        fan_in_and_bias, num_outputs = self.network.shapes[-1]
        drawn = self.network.init(generator, dtype)
        below = drawn[: self.network.num_parameters - fan_in_and_bias * num_outputs]
        zeros = drawn.new_zeros((fan_in_and_bias - 1) * num_outputs)
        return torch.cat([below, zeros, raw])

    def at(self, parameters: Tensor, inputs: Tensor) -> Rows:
        """The map x ↦ Λ_φ(s, a) x, with the network evaluated."""
        return self.form.product(self.network(parameters, inputs))

    def apply(self, parameters: Tensor, inputs: Tensor, vectors: Tensor) -> Tensor:
        """Λ_φ(s, a) x for each row x."""
        return self.at(parameters, inputs)(vectors)

    def weights(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """The diagonal of Λ_φ(s, a), shape (B, n)."""
        return self.form.diagonal(self.network(parameters, inputs))

    def matrix(self, parameters: Tensor, inputs: Tensor) -> Tensor | None:
        """Λ_φ(s, a) where it is more than its diagonal, shape (B, n, n)."""
        return self.form.matrix(self.network(parameters, inputs))

    def gauss_newton(
        self, parameters: Tensor, inputs: Tensor, model: Linearization
    ) -> Callable[[Tensor], Tensor]:
        """The product u ↦ Jᵀ Λ_φ(s, a) J u."""
        weigh = self.at(parameters, inputs)
        return lambda tangent: model.vjp(weigh(model.jvp(tangent)))

    def clamp(self, parameters: Tensor) -> Tensor:
        """φ as it is: a bound on the network's outputs would take its gradient."""
        return parameters

    def scaled(self, scale: Tensor) -> "ConditionalMetric":
        """D^½ Λ_φ(s, a) D^½."""
        return ConditionalMetric(Scaled(self.form, scale), self.network)


def _clamp(raw: Tensor, largest: float) -> Tensor:
    """Raw numbers whose softplus lies between 1 / largest and largest."""
    if math.isinf(largest):
        return raw
    least, most = (x + math.log(-math.expm1(-x)) for x in (1 / largest, largest))  # softplus⁻¹
    return raw.clamp(least, most)


def metric_gradient(
    metric: Metric, parameters: Tensor, inputs: Tensor, left: Tensor, right: Tensor
) -> Tensor:
    """∇_φ Σ_b leftᵀ Λ_φ(s, a) right: φ, (B, n + d), (B, n), (B, n) → φ's shape."""
    pullback = torch.func.vjp(lambda p: metric.apply(p, inputs, right), parameters)[1]
    gradient: Tensor = pullback(left)[0]
    return gradient
