"""The model of the environment: one network for the next observation, one for the reward."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mbrl_taskmet.batch import Batch
from mbrl_taskmet.mlp import MLP
from mbrl_taskmet.networks import Linearization, Network


@dataclass(frozen=True)
class DynamicsModel:
    """ŝ′ = f_θ(s, a) and r̂_θ(s, a); their parameters θ are one vector, the dynamics' first.

    Attributes:
        num_observations: n.
        dynamics: maps (s, a), shape (B, n + d), to ŝ′, shape (B, n).
        reward: maps (s, a), shape (B, n + d), to r̂, shape (B, 1).
    """

    num_observations: int
    dynamics: Network
    reward: Network

    @classmethod
    def of_capacity(
        cls,
        num_observations: int,
        action_size: int,
        hidden: Sequence[int],
        input_scale: float = 1.0,
        ortho_init: bool = False,
    ) -> "DynamicsModel":
        """Two perceptrons of these hidden sizes: the capacity of the model."""
        inputs = num_observations + action_size
        return cls(
            num_observations,
            MLP((inputs, *hidden, num_observations), input_scale, ortho_init),
            MLP((inputs, *hidden, 1), input_scale, ortho_init),
        )

    def init(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
        """Draw θ."""
        return torch.cat([self.dynamics.init(generator, dtype), self.reward.init(generator, dtype)])

    def split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Views of the dynamics network's parameters and of the reward network's."""
        sizes = [self.dynamics.num_parameters, self.reward.num_parameters]
        dynamics, reward = torch.split(parameters, sizes, -1)
        return dynamics, reward

    def linearize(self, parameters: Tensor, inputs: Tensor) -> "ModelLinearization":
        """Evaluate both networks at inputs (s, a) of shape (B, n + d)."""
        dynamics, reward = self.split(parameters)
        return ModelLinearization(
            self.dynamics.linearize(dynamics, inputs), self.reward.linearize(reward, inputs)
        )

    def prediction_errors(self, parameters: Tensor, batch: Batch) -> Tensor:
        """Mean squared error of ŝ′ in each dimension over a batch, shape (n,)."""
        predicted = self.linearize(parameters, batch.model_inputs).next_observations
        return (predicted - batch.next_observations).square().mean(0)


@dataclass(frozen=True)
class ModelLinearization:
    """The model at one θ and one batch."""

    dynamics: Linearization
    reward: Linearization

    @property
    def next_observations(self) -> Tensor:
        """ŝ′, shape (B, n)."""
        return self.dynamics.outputs

    @property
    def rewards(self) -> Tensor:
        """r̂, shape (B,)."""
        return self.reward.outputs.squeeze(-1)

    def vjp(self, next_observations: Tensor, rewards: Tensor) -> Tensor:
        """The gradient in θ for cotangents of ŝ′, shape (B, n), and of r̂, shape (B,)."""
        return torch.cat(
            [self.dynamics.vjp(next_observations), self.reward.vjp(rewards.unsqueeze(-1))], -1
        )
