"""How each kind of action is chosen: the policy objects that Stable-Baselines3 asks for."""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor

from ..mlp import MLP
from ..train_state import TrainState
from .acting import ACTING, LearnedPolicy
from .config import AgentConfig, are_sizes
from .sac import LOG_STD_RANGE, SoftActorCritic
from .soft_q import SoftQ


class SoftQPolicy(LearnedPolicy):
    """π(a | s) = ε / A + (1 − ε) softmax(min_j Q_j(s, ·) / α), or its greedy action.

    Args:
        observation_space: a flat Box.
        action_space: Discrete.
        lr_schedule: not used; the agent's update owns its optimisers.
        net_arch: hidden layers of each critic.
        temperature: α, in units of reward.
        exploration_epsilon: ε.
        input_scale: of the first layer's initial weights.
        ortho_init: whether initial weights are orthogonal.
    """

    critic: SoftQ

    def __init__(
        self,
        observation_space: spaces.Box,
        action_space: spaces.Discrete,
        lr_schedule: Schedule,
        net_arch: tuple[int, ...] = (32, 32),
        temperature: float = 0.01,
        exploration_epsilon: float = 0.1,
        input_scale: float = 1.0,
        ortho_init: bool = False,
    ) -> None:
        sizes = (observation_space.shape[0], *net_arch, int(action_space.n))
        critic = SoftQ(MLP(sizes, input_scale, ortho_init), temperature)
        parameters = critic.init(torch.Generator())
        super().__init__(observation_space, action_space, critic, critic.network, parameters)
        self.exploration_epsilon = exploration_epsilon
        self._first_action = int(action_space.start)

    def _learned(self, state: TrainState) -> Tensor:
        return state.critic

    def _choose(self, outputs: np.ndarray, deterministic: bool) -> np.ndarray:
        values = outputs.min(0)
        action = values.argmax(-1) if deterministic else self._draw(self._probabilities(values))
        chosen: np.ndarray = action + self._first_action
        return chosen

    def _probabilities(self, values: np.ndarray) -> np.ndarray:
        """π(· | s) from min_j Q_j(s, ·): (B, A) → (B, A)."""
        soft = np.exp((values - values.max(-1, keepdims=True)) / self.critic.temperature)
        soft /= soft.sum(-1, keepdims=True)
        epsilon = self.exploration_epsilon
        probabilities: np.ndarray = epsilon / values.shape[-1] + (1 - epsilon) * soft
        return probabilities

    def _draw(self, probabilities: np.ndarray) -> np.ndarray:
        """One action of each row, by inverting its distribution function: (B, A) → (B,)."""
        uniform = torch.rand(len(probabilities), 1, generator=self.generator).numpy()
        action: np.ndarray = (uniform >= probabilities.cumsum(-1)[:, :-1]).sum(-1)
        return action

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {
            **super()._get_constructor_parameters(),
            "temperature": self.critic.temperature,
            "exploration_epsilon": self.exploration_epsilon,
        }


class SquashedGaussianPolicy(LearnedPolicy):
    """a = tanh(μ(s) + σ(s) ε) with ε ~ N(0, 1), or tanh(μ(s)), scaled to the action space.

    Args:
        observation_space: a flat Box.
        action_space: a flat, bounded Box.
        lr_schedule: not used; the agent's update owns its optimisers.
        net_arch: hidden layers of the actor and of each critic.
        temperature: α at first, in units of reward; it is learned.
        target_entropy: the entropy that α is to bring about; −d if None.
        input_scale: of the first layer's initial weights.
        ortho_init: whether initial weights are orthogonal.
    """

    critic: SoftActorCritic

    def __init__(
        self,
        observation_space: spaces.Box,
        action_space: spaces.Box,
        lr_schedule: Schedule,
        net_arch: tuple[int, ...] = (32, 32),
        temperature: float = 1.0,
        target_entropy: float | None = None,
        input_scale: float = 1.0,
        ortho_init: bool = False,
    ) -> None:
        (n,), (d,) = observation_space.shape, action_space.shape
        actor = MLP((n, *net_arch, 2 * d), input_scale, ortho_init)
        network = MLP((n + d, *net_arch, 1), input_scale, ortho_init)
        critic = SoftActorCritic(network, actor, temperature, target_entropy)
        parameters = actor.init(torch.Generator())
        super().__init__(
            observation_space, action_space, critic, actor, parameters, squash_output=True
        )

    def _learned(self, state: TrainState) -> Tensor:
        return state.policy[:-1]

    def _choose(self, outputs: np.ndarray, deterministic: bool) -> np.ndarray:
        mean, log_std = np.split(outputs, 2, -1)
        if not deterministic:
            noise = torch.randn(mean.shape, generator=self.generator).numpy()
            mean = mean + np.exp(log_std.clip(*LOG_STD_RANGE)) * noise
        action: np.ndarray = np.tanh(mean)
        return action

    def unscale_action(self, scaled_action: np.ndarray) -> np.ndarray:
        """From [−1, 1] to the space, which Stable-Baselines3 can leave by rounding."""
        assert isinstance(self.action_space, spaces.Box)
        unscaled = super().unscale_action(scaled_action)
        return unscaled.clip(self.action_space.low, self.action_space.high)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {
            **super()._get_constructor_parameters(),
            "temperature": self.critic.temperature,
            "target_entropy": self.critic.target_entropy,
        }


POLICIES: dict[type[spaces.Space[Any]], type[LearnedPolicy]] = {
    spaces.Discrete: SoftQPolicy,
    spaces.Box: SquashedGaussianPolicy,
}
"""The policies by the kind of action space."""


def policy_for(action_space: spaces.Space[Any]) -> type[LearnedPolicy]:
    """What `"MlpPolicy"` means for an action space that `check_env` lets pass."""
    return next(policy for kind, policy in POLICIES.items() if isinstance(action_space, kind))


def check_policy(policy: type[BasePolicy], action_space: spaces.Space[Any]) -> None:
    """Refuse a class that cannot act here.

    Raises:
        ValueError: if it is none of ours, or ours for another kind of action.
    """
    fitting = policy_for(action_space)
    others = tuple(kind for kind in POLICIES.values() if kind is not fitting)
    if not issubclass(policy, LearnedPolicy) or issubclass(policy, others):
        raise ValueError(
            f"{policy.__name__} cannot act by what is learned here: pass 'MlpPolicy', or a "
            f"subclass of {fitting.__name__}."
        )


def policy_arguments(
    policy: type[LearnedPolicy], config: AgentConfig, policy_kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """What to make a policy of: the hyperparameters that concern it, and `policy_kwargs` over them.

    Raises:
        TypeError: for a keyword of `policy_kwargs` that it does not take.
        ValueError: for a hyperparameter that it does not take, a value out of range, or layers that
            are not sizes.
    """
    chosen = {name: value for name, value in policy_kwargs.items() if name in ACTING}
    others = {name: value for name, value in policy_kwargs.items() if name not in ACTING}
    arguments = policy.settings(replace(config, **chosen)) | others
    own = list(inspect.signature(policy).parameters.values())[3:]  # after the spaces and the rate
    unknown = [name for name in arguments if name not in {parameter.name for parameter in own}]
    if unknown and not any(parameter.kind is parameter.VAR_KEYWORD for parameter in own):
        error = ValueError if unknown[0] in ACTING else TypeError
        raise error(
            f"{policy.__name__} has no {unknown[0]!r} to set: it takes "
            f"{', '.join(parameter.name for parameter in own)}."
        )
    sizes = arguments["net_arch"]
    if not (isinstance(sizes, tuple | list) and are_sizes(tuple(sizes))):
        raise ValueError(
            "net_arch must be positive whole numbers, one for each hidden layer of actor and "
            f"critics alike; got {sizes!r}."
        )
    return arguments
