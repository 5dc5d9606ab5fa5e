"""What the loop asks of a value learner, whatever its action space."""

from typing import Protocol

import torch
from torch import Tensor


class CriticLinearization(Protocol):
    """Q_j(s, a) of an ensemble of J critics around one ω and one batch."""

    @property
    def outputs(self) -> Tensor:
        """Q_j(s, a), shape (J, B)."""

    def jvp(self, tangent: Tensor) -> Tensor:
        """∂Q/∂ω · v: (J, P) → (J, B)."""

    def vjp(self, cotangent: Tensor) -> Tensor:
        """(∂Q/∂ω)ᵀ c: (J, B) → (J, P)."""


class ValueLinearization(Protocol):
    """V(s) of the critics around one ω and one batch."""

    @property
    def outputs(self) -> Tensor:
        """V(s), shape (B,)."""

    def input_vjp(self, cotangent: Tensor) -> Tensor:
        """c_b ∂V/∂s for each row: (B,) → (B, n)."""


class Critic(Protocol):
    """An ensemble of critics Q_j(s, a) and the soft value V(s) they imply."""

    def init(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
        """Draw ω, shape (J, P)."""

    def linearize(
        self, parameters: Tensor, observations: Tensor, actions: Tensor
    ) -> CriticLinearization:
        """Q_j(s, a), ready for products with ∂Q/∂ω."""

    def linearize_value(self, parameters: Tensor, observations: Tensor) -> ValueLinearization:
        """V(s), ready for products with ∂V/∂s."""

    def agreed_sensitivity(self, parameters: Tensor, observations: Tensor) -> Tensor:
        """mean_B[∂_s Q_j ∂_s Q_k] over pairs of different critics: (J, P), (B, n) → (n,)."""
