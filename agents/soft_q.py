"""Soft double Q-learning: the value learner for discrete actions, as pure functions.

Q_j(s, a) for an ensemble of two critics, and V(s) = α logsumexp(min_j Q_j(s, ·) / α).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..losses import soft_value
from ..mlp import MLP, MLPLinearization
from ..train_state import Info
from .ensemble import Ensemble, share_of_lowest


@dataclass(frozen=True)
class SoftQ(Ensemble):
    """An ensemble of soft Q-functions on one-hot actions.

    Attributes:
        network: maps s, shape (B, n), to Q(s, ·), shape (B, A), for each critic.
        temperature: α, in units of reward.
        num_critics: J.

    Raises:
        ValueError: if the temperature or the number of critics is not positive.
    """

    network: MLP
    temperature: float = 0.01
    num_critics: int = 2

    def linearize(
        self, parameters: Tensor, observations: Tensor, actions: Tensor
    ) -> "ChosenActionLinearization":
        """Q_j(s, a) of the actions taken, one-hot of shape (B, A)."""
        return ChosenActionLinearization(self.network.linearize(parameters, observations), actions)

    def init_policy(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
        """Nothing: the policy softmax(min_j Q_j / α) has no parameters of its own."""
        return torch.zeros(0, dtype=dtype)

    def policy_gradient(
        self, parameters: Tensor, policy: Tensor, observations: Tensor, noise: Tensor
    ) -> tuple[Tensor, Info]:
        """Nothing to learn."""
        return torch.zeros_like(policy), {}

    def linearize_value(
        self, parameters: Tensor, policy: Tensor, observations: Tensor, noise: Tensor
    ) -> "ValueOfState":
        """V(s)."""
        return ValueOfState(self.network.linearize(parameters, observations), self.temperature)

    def sensitivities(
        self, parameters: Tensor, policy: Tensor, observations: Tensor, noise: Tensor
    ) -> Tensor:
        """mean_B[∂_s Q_j ∂_s Q_k] of all pairs of critics, shape (J, J, n).

        Of Σ_a π(a | s) Q_j(s, a), one for each critic, with their common policy
        π = softmax(min_j Q_j / α) held fixed.
        """
        network = self.network.linearize(parameters, observations)
        probabilities = torch.softmax(network.outputs.amin(0) / self.temperature, -1)
        return network.input_products(probabilities.expand_as(network.outputs))


class ChosenActionLinearization:
    """Q_j(s, a) = Q_j(s, ·) · a: the network's linearisation seen through one-hot actions."""

    def __init__(self, network: MLPLinearization, actions: Tensor) -> None:
        self._network = network
        self._actions = actions
        self.outputs = (network.outputs * actions).sum(-1)

    def jvp(self, tangent: Tensor) -> Tensor:
        """∂Q/∂ω · v: (J, P) → (J, B)."""
        return (self._network.jvp(tangent) * self._actions).sum(-1)

    def vjp(self, cotangent: Tensor) -> Tensor:
        """(∂Q/∂ω)ᵀ c: (J, B) → (J, P)."""
        return self._network.vjp(cotangent.unsqueeze(-1) * self._actions)


class ValueOfState:
    """V(s) = α logsumexp(min_j Q_j(s, ·) / α), shape (B,)."""

    def __init__(self, network: MLPLinearization, temperature: float) -> None:
        self._network = network
        self._temperature = temperature
        self.outputs = soft_value(network.outputs, temperature)

    def input_vjp(self, cotangent: Tensor) -> Tensor:
        """The product c ∂V/∂s, through the softmax of the smallest Q: (B,) → (B, n)."""
        values = self._network.outputs
        policy = torch.softmax(values.amin(0) / self._temperature, -1)
        weight = share_of_lowest(values) * policy
        return self._network.summed_input_vjp(cotangent.unsqueeze(-1) * weight)
