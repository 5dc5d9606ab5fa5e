"""Soft actor-critic: the value learner for continuous actions, as pure functions.

Q_j(s, a) for an ensemble of two critics, a policy a = tanh(μ_ψ(s) + σ_ψ(s) ε), and the soft value
V(s) = min_j Q_j(s, a) − α log π(a | s) at one draw of ε (Haarnoja et al. 2018, arXiv 1812.05905).
Actions are in [−1, 1].
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ..mlp import MLP, MLPLinearization
from ..train_state import Info
from .ensemble import Ensemble, share_of_lowest

LOG_STD_RANGE = (-20.0, 2.0)
"""Within which log σ is kept, as in Stable-Baselines3."""


@dataclass(frozen=True)
class SoftActorCritic(Ensemble):
    """An ensemble of soft Q-functions of state and action, and a squashed Gaussian policy.

    The policy's ψ is the actor's parameters, and log α behind them.

    Attributes:
        network: maps (s, a), shape (B, n + d), to Q(s, a), shape (B, 1), for each critic.
        actor: maps s, shape (B, n), to (μ, log σ), shape (B, 2 d).
        temperature: α at first, in units of reward; it is learned.
        target_entropy: the entropy that α is to bring about; −d if None.
        num_critics: J.

    Raises:
        ValueError: if the temperature or the number of critics is not positive.
    """

    network: MLP
    actor: MLP
    temperature: float = 1.0
    target_entropy: float | None = None
    num_critics: int = 2

    def init_policy(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
        """Draw the actor's parameters; log α is where it begins."""
        log_temperature = torch.tensor([math.log(self.temperature)], dtype=dtype)
        return torch.cat([self.actor.init(generator, dtype), log_temperature])

    def linearize(
        self, parameters: Tensor, observations: Tensor, actions: Tensor
    ) -> "ActionValueLinearization":
        """Q_j(s, a) of actions of shape (B, d)."""
        inputs = torch.cat([observations, actions], -1)
        return ActionValueLinearization(self.network.linearize(parameters, inputs))

    def act(self, policy: Tensor, observations: Tensor, noise: Tensor) -> "DrawnAction":
        """The action tanh(μ + σ ε) and its log π(a | s)."""
        return DrawnAction(self.actor.linearize(policy[..., :-1], observations), noise)

    def linearize_value(
        self, parameters: Tensor, policy: Tensor, observations: Tensor, noise: Tensor
    ) -> "ValueOfPolicy":
        """V(s) at one draw of the policy's action."""
        drawn = self.act(policy, observations, noise)
        inputs = torch.cat([observations, drawn.actions], -1)
        return ValueOfPolicy(
            self.network.linearize(parameters, inputs), drawn, policy[..., -1].exp()
        )

    def policy_gradient(
        self, parameters: Tensor, policy: Tensor, observations: Tensor, noise: Tensor
    ) -> tuple[Tensor, Info]:
        """The actor lowers mean_B[α log π − min_j Q_j]; α rises while its entropy is below H̄.

        The gradient of log α is that of −log α · mean_B[log π + H̄], with H̄ the target entropy.
        """
        value = self.linearize_value(parameters, policy, observations, noise)
        mean_value = torch.full_like(value.outputs, 1 / value.outputs.shape[-1])
        entropy = -value.drawn.log_probabilities.mean()
        target = -noise.shape[-1] if self.target_entropy is None else self.target_entropy
        gradient = torch.cat([-value.actor_vjp(mean_value), (entropy - target).unsqueeze(-1)], -1)
        return gradient, {"temperature": value.temperature, "entropy": entropy}

    def sensitivities(
        self, parameters: Tensor, policy: Tensor, observations: Tensor, noise: Tensor
    ) -> Tensor:
        """mean_B[∂_s Q_j ∂_s Q_k] of all pairs of critics, shape (J, J, n).

        At the policy's actions, which are held fixed.
        """
        actions = self.act(policy, observations, noise).actions
        network = self.network.linearize(parameters, torch.cat([observations, actions], -1))
        products = network.input_products(torch.ones_like(network.outputs))
        return products[..., : observations.shape[-1]]


class ActionValueLinearization:
    """Q_j(s, a), without the network's axis of one output."""

    def __init__(self, network: MLPLinearization) -> None:
        self._network = network
        self.outputs = network.outputs.squeeze(-1)

    def jvp(self, tangent: Tensor) -> Tensor:
        """∂Q/∂ω · v: (J, P) → (J, B)."""
        return self._network.jvp(tangent).squeeze(-1)

    def vjp(self, cotangent: Tensor) -> Tensor:
        """(∂Q/∂ω)ᵀ c: (J, B) → (J, P)."""
        return self._network.vjp(cotangent.unsqueeze(-1))


class DrawnAction:
    """a = tanh(u), u = μ + σ ε, and log π = Σ_i[log N(u_i; μ_i, σ_i²) − log(1 − a_i²)].

    Args:
        network: the actor's (μ, log σ), of shape (B, 2 d).
        noise: ε, shape (B, d).
    """

    def __init__(self, network: MLPLinearization, noise: Tensor) -> None:
        self._network = network
        mean, log_std = network.outputs.chunk(2, -1)
        bounded = log_std.clamp(*LOG_STD_RANGE)
        self._in_range = (bounded == log_std).to(log_std.dtype)
        self._deviation = bounded.exp() * noise
        before = mean + self._deviation
        self.actions = torch.tanh(before)
        # log(1 − tanh² u) without the cancellation where |u| is large.
        log_slope = 2 * (math.log(2) - before - softplus(-2 * before))
        log_normal = -noise.square() / 2 - bounded - math.log(2 * math.pi) / 2
        self.log_probabilities = (log_normal - log_slope).sum(-1)

    def vjp(self, actions: Tensor, log_probabilities: Tensor) -> Tensor:
        """The gradient in the actor's parameters for cotangents (B, d) of a and (B,) of log π."""
        return self._network.vjp(self._pull(actions, log_probabilities))

    def input_vjp(self, actions: Tensor, log_probabilities: Tensor) -> Tensor:
        """The gradient in s for the same cotangents: (B, n)."""
        return self._network.input_vjp(self._pull(actions, log_probabilities))

    def _pull(self, actions: Tensor, log_probabilities: Tensor) -> Tensor:
        """In (μ, log σ): ∂a/∂u = 1 − a², ∂ log π/∂u = 2 a, and ∂ log π/∂ log σ = −1 beside u's."""
        of_log_pi = log_probabilities.unsqueeze(-1)
        mean = (1 - self.actions.square()) * actions + 2 * self.actions * of_log_pi
        log_std = (mean * self._deviation - of_log_pi) * self._in_range
        return torch.cat([mean, log_std], -1)


class ValueOfPolicy:
    """V(s) = min_j Q_j(s, a) − α log π(a | s) at a drawn action, shape (B,)."""

    def __init__(self, network: MLPLinearization, drawn: DrawnAction, temperature: Tensor) -> None:
        self._network = network
        self.drawn = drawn
        self.temperature = temperature
        values = network.outputs.squeeze(-1)
        self._share = share_of_lowest(values)
        self.outputs = values.amin(0) - temperature * drawn.log_probabilities

    def input_vjp(self, cotangent: Tensor) -> Tensor:
        """The product c ∂V/∂s, through the critic and through the action: (B,) → (B, n)."""
        observations, actions = self._critic_vjp(cotangent)
        return observations + self.drawn.input_vjp(actions, -self.temperature * cotangent)

    def actor_vjp(self, cotangent: Tensor) -> Tensor:
        """The gradient of Σ_b c_b V(s_b) in the actor's parameters: (B,) → (P,)."""
        _, actions = self._critic_vjp(cotangent)
        return self.drawn.vjp(actions, -self.temperature * cotangent)

    def _critic_vjp(self, cotangent: Tensor) -> tuple[Tensor, Tensor]:
        """The product of c with the gradient of min_j Q_j in s and in a."""
        inputs = self._network.summed_input_vjp((cotangent * self._share).unsqueeze(-1))
        width = self.drawn.actions.shape[-1]
        return inputs[..., :-width], inputs[..., -width:]
