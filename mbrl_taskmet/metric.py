"""Metrics Λ_φ(s, a) on prediction errors: what the model is told to get right.

A metric has a form (`forms.py`), which turns raw numbers into a positive definite matrix, and raw
numbers that are either the parameters φ themselves or, for a conditional metric, a network's
outputs at (s, a).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, Self

import torch
from torch import Tensor

from mbrl_taskmet.forms import Form, Scaled
from mbrl_taskmet.mlp import MLP
from mbrl_taskmet.networks import Linearization, Rows

MATRICES_AT_A_TIME = 32
"""Of the transitions whose matrices a reader asks for, since a matrix for each takes memory."""


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
class _FormOfRawNumbers(ABC):
    """What both kinds of metric are, once the form's raw numbers are at hand."""

    form: Form

    @abstractmethod
    def raw(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """The form's raw numbers: φ, (B, n + d) → (R,), or (B, R) if they depend on (s, a)."""

    def at(self, parameters: Tensor, inputs: Tensor) -> Rows:
        """The map x ↦ Λ_φ(s, a) x, with the raw numbers at hand."""
        return self.form.product(self.raw(parameters, inputs))

    def apply(self, parameters: Tensor, inputs: Tensor, vectors: Tensor) -> Tensor:
        """Λ_φ(s, a) x for each row x."""
        return self.at(parameters, inputs)(vectors)

    def weights(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """The diagonal of Λ_φ(s, a)."""
        return self.form.diagonal(self.raw(parameters, inputs))

    def matrix(self, parameters: Tensor, inputs: Tensor) -> Tensor | None:
        """Λ_φ(s, a) where it is more than its diagonal."""
        return self.form.matrix(self.raw(parameters, inputs))

    def scaled(self, scale: Tensor) -> Self:
        """D^½ Λ_φ(s, a) D^½."""
        return replace(self, form=Scaled(self.form, scale))


@dataclass(frozen=True)
class UnconditionalMetric(_FormOfRawNumbers):
    """One matrix for all (s, a): φ is the form's raw numbers.

    Attributes:
        form: turns them into the matrix.
    """

    def init(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
        """The identity; nothing is drawn."""
        return self.form.identity().to(dtype)

    def raw(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """φ, shape (R,)."""
        return parameters

    def gauss_newton(
        self, parameters: Tensor, inputs: Tensor, model: Linearization
    ) -> Callable[[Tensor], Tensor]:
        """The product u ↦ Jᵀ Λ_φ J u, in which a network may fold the one Λ into its layers."""
        return model.gauss_newton(self.at(parameters, inputs))

    def clamp(self, parameters: Tensor) -> Tensor:
        """φ within the form's bounds."""
        return self.form.clamp(parameters)


@dataclass(frozen=True)
class ConditionalMetric(_FormOfRawNumbers):
    """A matrix for each (s, a): a perceptron gives the form's raw numbers.

    Attributes:
        form: turns raw numbers into a matrix.
        network: maps (s, a), shape (B, n + d), to raw numbers, shape (B, R).
    """

    network: MLP

    def init(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
        """Random hidden layers under a last layer that is constant at the identity."""
        raw = self.form.identity().to(dtype)
        fan_in_and_bias, num_outputs = self.network.shapes[-1]
        drawn = self.network.init(generator, dtype)
        below = drawn[: self.network.num_parameters - fan_in_and_bias * num_outputs]
        zeros = drawn.new_zeros((fan_in_and_bias - 1) * num_outputs)
        return torch.cat([below, zeros, raw])

    def raw(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """The network's outputs, shape (B, R)."""
        return self.network(parameters, inputs)

    def weights(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """The diagonal of each Λ_φ(s, a), a few at a time: a full form makes n² numbers."""
        parts = torch.split(inputs, MATRICES_AT_A_TIME)
        return torch.cat([self.form.diagonal(self.raw(parameters, part)) for part in parts])

    def gauss_newton(
        self, parameters: Tensor, inputs: Tensor, model: Linearization
    ) -> Callable[[Tensor], Tensor]:
        """The product u ↦ Jᵀ Λ_φ(s, a) J u."""
        weigh = self.at(parameters, inputs)
        return lambda tangent: model.vjp(weigh(model.jvp(tangent)))

    def clamp(self, parameters: Tensor) -> Tensor:
        """φ as it is: a bound on the network's outputs would take its gradient."""
        return parameters


def metric_gradient(
    metric: Metric, parameters: Tensor, inputs: Tensor, left: Tensor, right: Tensor
) -> Tensor:
    """∇_φ Σ_b leftᵀ Λ_φ(s, a) right: φ, (B, n + d), (B, n), (B, n) → φ's shape."""
    pullback = torch.func.vjp(lambda p: metric.apply(p, inputs, right), parameters)[1]
    gradient: Tensor = pullback(left)[0]
    return gradient
