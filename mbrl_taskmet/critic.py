"""What the loop asks of a value learner, whatever its action space."""

from typing import Protocol

import torch
from torch import Tensor

from mbrl_taskmet.train_state import Info


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
    """V(s) of the critics under their policy, around one ω, one ψ and one batch."""

    @property
    def outputs(self) -> Tensor:
        """V(s), shape (B,)."""

    def input_vjp(self, cotangent: Tensor) -> Tensor:
        """c_b ∂V/∂s for each row: (B,) → (B, n)."""


class Critic(Protocol):
    """An ensemble of critics Q_j(s, a), the policy that they teach, and their soft value V(s).

    What the policy has of its own is ψ, a flat vector: empty if it follows from the critics.
    Where it is stochastic it draws by ε, standard normal numbers of shape (B, e).
    """

    def init(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
        """Draw ω, shape (J, P)."""

    def init_policy(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
        """Draw ψ."""

    def linearize(
        self, parameters: Tensor, observations: Tensor, actions: Tensor
    ) -> CriticLinearization:
        """Q_j(s, a), ready for products with ∂Q/∂ω."""

    def linearize_value(
        self, parameters: Tensor, policy: Tensor, observations: Tensor, noise: Tensor
    ) -> ValueLinearization:
        """V(s), ready for products with ∂V/∂s."""

    def policy_gradient(
        self, parameters: Tensor, policy: Tensor, observations: Tensor, noise: Tensor
    ) -> tuple[Tensor, Info]:
        """The gradient in ψ of what the policy lowers, ψ's shape, and scalars to log."""

    def sensitivities(
        self, parameters: Tensor, policy: Tensor, observations: Tensor, noise: Tensor
    ) -> Tensor:
        """mean_B[∂_s Q_j ∂_s Q_k] of all pairs of critics, shape (J, J, n)."""
