"""Acting on soft Q-values: the policy object that Stable-Baselines3 asks for."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import Tensor

from ..networks import MLP
from .soft_q import SoftQ


class SoftQPolicy(BasePolicy):
    """π(a | s) = ε / A + (1 − ε) softmax(min_j Q_j(s, ·) / α), or its greedy action.

    Args:
        observation_space: a flat Box.
        action_space: Discrete.
        lr_schedule: not used; the agent's update owns its optimisers.
        net_arch: hidden layers of each critic.
        temperature: α, in units of reward.
        exploration_epsilon: ε.
        input_scale: of the first layer's initial weights.
    """

    critic_parameters: Tensor
    observation_mean: Tensor
    observation_scale: Tensor

    def __init__(
        self,
        observation_space: spaces.Box,
        action_space: spaces.Discrete,
        lr_schedule: Schedule,
        net_arch: tuple[int, ...] = (32, 32),
        temperature: float = 0.01,
        exploration_epsilon: float = 0.1,
        input_scale: float = 1.0,
    ) -> None:
        super().__init__(observation_space, action_space)
        self.net_arch = tuple(net_arch)
        self.exploration_epsilon = exploration_epsilon
        self.num_actions = int(action_space.n)
        self._first_action = int(action_space.start)
        sizes = (observation_space.shape[0], *self.net_arch, self.num_actions)
        self.critic = SoftQ(MLP(sizes, input_scale), temperature)
        self.generator = torch.Generator()
        self.register_buffer("critic_parameters", self.critic.init(self.generator))
        self.register_buffer("observation_mean", torch.zeros(observation_space.shape))
        self.register_buffer("observation_scale", torch.ones(observation_space.shape))

    def forward(self, observation: Tensor, deterministic: bool = False) -> Tensor:
        """The same as `_predict`."""
        return self._predict(observation, deterministic)

    def _predict(self, observation: PyTorchObs, deterministic: bool = False) -> Tensor:
        """Choose actions: (B, n) → (B,).

        Raises:
            FloatingPointError: if the values to choose by are not finite.
        """
        assert isinstance(observation, Tensor)
        if not torch.isfinite(observation).all():
            column = int(torch.argwhere(~torch.isfinite(observation))[0, -1])
            raise FloatingPointError(
                f"The observation to act on is not finite in dimension {column}: repair the "
                "environment, or bound what it returns."
            )
        with np.errstate(over="ignore", invalid="ignore"):  # looked at next
            values = self._lowest_values(observation.cpu().numpy())
        if not np.isfinite(values).all():
            raise FloatingPointError("The critic's values of these observations are not finite.")
        action = values.argmax(-1) if deterministic else self._draw(self._probabilities(values))
        return torch.from_numpy(action + self._first_action)

    def _lowest_values(self, observations: np.ndarray) -> np.ndarray:
        """min_j Q_j(s, ·), shape (B, A): in NumPy, for a few states much faster than torch."""
        parameters = self.critic_parameters.cpu().numpy()
        mean, scale = self.observation_mean.cpu().numpy(), self.observation_scale.cpu().numpy()
        hidden = (observations.astype(parameters.dtype) - mean) * scale
        start = 0
        for index, (fan_in, fan_out) in enumerate(self.critic.network.shapes):
            if index > 0:
                hidden = np.maximum(hidden, 0)
            stop = start + fan_in * fan_out
            layer = parameters[:, start:stop].reshape(-1, fan_in, fan_out)
            hidden = hidden @ layer[:, :-1] + layer[:, -1:]
            start = stop
        lowest: np.ndarray = hidden.min(0)
        return lowest

    def _probabilities(self, values: np.ndarray) -> np.ndarray:
        """π(· | s) from min_j Q_j(s, ·): (B, A) → (B, A)."""
        soft = np.exp((values - values.max(-1, keepdims=True)) / self.critic.temperature)
        soft /= soft.sum(-1, keepdims=True)
        epsilon = self.exploration_epsilon
        probabilities: np.ndarray = epsilon / self.num_actions + (1 - epsilon) * soft
        return probabilities

    def _draw(self, probabilities: np.ndarray) -> np.ndarray:
        """One action of each row, by inverting its distribution function: (B, A) → (B,)."""
        uniform = torch.rand(len(probabilities), 1, generator=self.generator).numpy()
        action: np.ndarray = (uniform >= probabilities.cumsum(-1)[:, :-1]).sum(-1)
        return action

    def get_extra_state(self) -> Tensor:
        """The generator's state, so that a loaded policy draws on where the saved one stopped."""
        return self.generator.get_state()

    def set_extra_state(self, state: Tensor) -> None:
        """Put a saved generator's state in place."""
        self.generator.set_state(state.cpu())

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "lr_schedule": self._dummy_schedule,
            "net_arch": self.net_arch,
            "temperature": self.critic.temperature,
            "exploration_epsilon": self.exploration_epsilon,
            "input_scale": self.critic.network.input_scale,
        }
