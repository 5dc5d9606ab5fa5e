"""Acting on what was learned: the part that all policies share."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import PyTorchObs
from torch import Tensor

from ..critic import Critic
from ..mlp import MLP
from ..train_state import TrainState
from .config import AgentConfig
from .finite import DivergenceError

BEGINNING = ("input_scale", "ortho_init")
"""The hyperparameters that say with which weights a policy begins, and the model likewise."""

ACTING = ("temperature", "exploration_epsilon", "target_entropy", *BEGINNING)
"""The hyperparameters that concern a policy, beside the sizes of its layers."""

IN_FORCE = tuple(name for name in ACTING if name not in BEGINNING)
"""Those that it goes on acting by, and that nothing but a policy has."""


class LearnedPolicy(BasePolicy):
    """A policy that is a perceptron on observations as learning sees them.

    It holds a copy of the parameters it acts by, and the value learner that gave them.

    Args:
        observation_space: a flat Box.
        action_space: of its kind.
        critic: the value learner.
        network: maps s to that by which an action is chosen.
        parameters: of the network, at first.
        squash_output: whether actions come in [−1, 1], to be scaled to the space.
    """

    acting_parameters: Tensor
    observation_mean: Tensor
    observation_scale: Tensor
    largest_observation: Tensor
    gates: Tensor

    def __init__(
        self,
        observation_space: spaces.Box,
        action_space: spaces.Space[Any],
        critic: Critic,
        network: MLP,
        parameters: Tensor,
        squash_output: bool = False,
    ) -> None:
        super().__init__(observation_space, action_space, squash_output=squash_output)
        self.critic = critic
        self._network = network
        self.generator = torch.Generator()
        self.register_buffer("acting_parameters", parameters)
        self.register_buffer("observation_mean", torch.zeros(observation_space.shape))
        self.register_buffer("observation_scale", torch.ones(observation_space.shape))
        self.register_buffer("largest_observation", torch.tensor(torch.inf))
        self.register_buffer("gates", torch.ones(observation_space.shape))

    @staticmethod
    def settings(config: AgentConfig) -> dict[str, Any]:
        """The hyperparameters that concern it, as its constructor's arguments.

        Those that are None are left to its own defaults.
        """
        values = {name: getattr(config, name) for name in ACTING}
        given = {name: value for name, value in values.items() if value is not None}
        return {"net_arch": config.critic_hidden, **given}

    def show(self, state: TrainState) -> None:
        """Act from now on by what this state has learned, and see as it sees."""
        # Into the buffers' own memory: to replace a module's buffer takes ten times longer.
        self.acting_parameters.copy_(self._learned(state))
        self.observation_mean.copy_(state.normalizer.mean)
        self.observation_scale.copy_(state.normalizer.scale)
        self.largest_observation.copy_(state.normalizer.largest)
        self.gates.copy_(state.sight.gates)

    def _learned(self, state: TrainState) -> Tensor:
        """The network's parameters in a state."""
        raise NotImplementedError

    def _choose(self, outputs: np.ndarray, deterministic: bool) -> np.ndarray:
        """Actions by the network's outputs of each state."""
        raise NotImplementedError

    @property
    def net_arch(self) -> tuple[int, ...]:
        """Its hidden layers."""
        return self._network.sizes[1:-1]

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "lr_schedule": self._dummy_schedule,
            "net_arch": self.net_arch,
            **{name: getattr(self._network, name) for name in BEGINNING},
        }

    def forward(self, observation: Tensor, deterministic: bool = False) -> Tensor:
        """The same as `_predict`."""
        return self._predict(observation, deterministic)

    def _predict(self, observation: PyTorchObs, deterministic: bool = False) -> Tensor:
        """Choose actions: (B, n) → (B,) or (B, d).

        Raises:
            DivergenceError: if what was learned is not finite.
            FloatingPointError: if an observation is not.
        """
        assert isinstance(observation, Tensor)
        # What is too large for the parameters' precision becomes infinite here, to be found next.
        observations = observation.to(self.acting_parameters.dtype).cpu().numpy()
        if not np.isfinite(observations).all():
            column = np.argwhere(~np.isfinite(observations))[0, -1]
            raise FloatingPointError(
                f"The observation to act on is not finite in dimension {column}: repair the "
                "environment, or bound what it returns."
            )
        with np.errstate(over="ignore", invalid="ignore"):  # looked at next
            outputs = self._outputs(observations)
        if not np.isfinite(outputs).all():
            raise DivergenceError("What was learned of these observations is not finite.")
        return torch.from_numpy(self._choose(outputs, deterministic))

    def _outputs(self, observations: np.ndarray) -> np.ndarray:
        """The network's, (B, n) → (…, B, outputs): in NumPy, for a few states much the faster."""
        parameters = self.acting_parameters.cpu().numpy()
        hidden = self._see(observations)
        start = 0
        for index, (fan_in, fan_out) in enumerate(self._network.shapes):
            if index > 0:
                hidden = np.maximum(hidden, 0)
            stop = start + fan_in * fan_out
            layer = parameters[..., start:stop].reshape(*parameters.shape[:-1], fan_in, fan_out)
            hidden = hidden @ layer[..., :-1, :] + layer[..., -1:, :]
            start = stop
        return hidden

    def _see(self, observations: np.ndarray) -> np.ndarray:
        """As learning does: normalised, and through the gates."""
        mean, scale, largest, gates = (
            buffer.cpu().numpy()
            for buffer in (
                self.observation_mean,
                self.observation_scale,
                self.largest_observation,
                self.gates,
            )
        )
        normalized = (observations - mean) * scale
        seen: np.ndarray = gates * normalized.clip(-largest, largest)
        return seen

    def get_extra_state(self) -> Tensor:
        """The generator's state, so that a loaded policy draws on where the saved one stopped."""
        return self.generator.get_state()

    def set_extra_state(self, state: Tensor) -> None:
        """Put a saved generator's state in place."""
        self.generator.set_state(state.cpu())
