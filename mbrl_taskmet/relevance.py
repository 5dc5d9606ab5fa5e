"""Which dimensions matter, told early: gates before the networks, and a prior for the metric.

The hypergradient asks the right question of every dimension, but through one noisy batch at a
time, and it says nothing to a critic that drowns in distracting inputs. A relevance is a cheap and
steady answer, kept as a running mean by dimension (`TrainState.evidence`). Its gates multiply what
model and critic see, its prior multiplies the metric.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from mbrl_taskmet.batch import Batch
from mbrl_taskmet.critic import Critic
from mbrl_taskmet.dynamics import DynamicsModel, model_inputs
from mbrl_taskmet.metric import Metric
from mbrl_taskmet.train_state import TrainState


class Relevance(Protocol):
    """What tells a dimension that matters."""

    def observe(
        self, model: DynamicsModel, critic: Critic, state: TrainState, batch: Batch
    ) -> Tensor:
        """The running evidence after a batch as `ModelBasedUpdate.look_at` shows it, shape (n,)."""

    def see(self, evidence: Tensor, observations: Tensor) -> Tensor:
        """Observations through the gates: (n,), (B, n) → (B, n)."""

    def weigh(self, evidence: Tensor, metric: Metric) -> Metric:
        """The metric times the prior."""


@dataclass(frozen=True)
class AllAlike:
    """Every dimension matters: nothing is gated, and the metric has no prior."""

    def observe(
        self, model: DynamicsModel, critic: Critic, state: TrainState, batch: Batch
    ) -> Tensor:
        """No evidence is kept."""
        return state.evidence

    def see(self, evidence: Tensor, observations: Tensor) -> Tensor:
        """All of it."""
        return observations

    def weigh(self, evidence: Tensor, metric: Metric) -> Metric:
        """The metric as it is."""
        return metric


@dataclass(frozen=True)
class CriticSensitivity:
    """A dimension matters as far as two critics agree that the value depends on it.

    To first order the task loss is mean_B[(γ m ∇V·(ŝ′ − s′))²], which a diagonal metric
    λ_i = E[(∂_i V)²] weighs as it should (VaGraM, Voelcker et al. 2022, arXiv 2204.01464). The
    square is taken across two critics,

        S_i = E[∂_i Q_1 ∂_i Q_2],

    in what they see, at the actions of their common policy: what a critic owes to its random
    initialisation is independent of the other's and averages out, and with it the floor under
    which a dimension would otherwise hide. The gates are

        g = floor + (1 − floor) S² / (S² + (threshold · max S)²),

    open for all that is within reach of the most relevant dimension, so that without distractors
    nothing closes; the floor lets a closed gate open again. The prior is g²: an error counts by
    the square of what is seen of it.

    Attributes:
        threshold: sensitivity at which a gate is half open, as a share of the largest.
        floor: of a closed gate.
        rate: of the running mean of S.

    Raises:
        ValueError: if one of them is not above 0 and at most 1.
    """

    threshold: float = 0.1
    floor: float = 0.01
    rate: float = 0.005

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value <= 1:
                raise ValueError(f"The {name} must be above 0 and at most 1; got {value}.")

    def observe(
        self, model: DynamicsModel, critic: Critic, state: TrainState, batch: Batch
    ) -> Tensor:
        """S_i of this batch joins the running mean; zero at first, when all gates are alike."""
        gradients = critic.value_gradients(state.target_critic, batch.observations)
        # The sum over all pairs of different critics, by the square of the sum.
        number = gradients.shape[0]
        pairs = gradients.sum(0).square() - gradients.square().sum(0)
        return torch.lerp(state.evidence, pairs.mean(0) / (number * (number - 1)), self.rate)

    def gates(self, evidence: Tensor) -> Tensor:
        """The gates g, shape (n,)."""
        sensitivity = evidence.clamp_min(0)
        largest = sensitivity.amax(-1, keepdim=True)
        share = sensitivity / largest.clamp_min(torch.finfo(evidence.dtype).tiny)
        opening = share.square() / (share.square() + self.threshold**2)
        # Before the first evidence nothing is closed.
        opening = torch.where(largest > 0, opening, torch.ones_like(opening))
        return self.floor + (1 - self.floor) * opening

    def see(self, evidence: Tensor, observations: Tensor) -> Tensor:
        """Multiply each dimension by its gate, g ∘ s."""
        return self.gates(evidence) * observations

    def weigh(self, evidence: Tensor, metric: Metric) -> Metric:
        """The metric times g², at the norm of the identity."""
        return metric.scaled(_normalized(self.gates(evidence).square()))


@dataclass(frozen=True)
class Predictability:
    """A dimension matters as far as the model can predict it: nothing of the task.

    With mse_i the running error of the standardised dimension, the gates are 1 − mse_i and the
    prior is 1 / mse_i. Independent noise gives itself away; a predictable distractor does not.

    Attributes:
        least: error below which a dimension weighs no more.
        rate: of the running mean of the errors.

    Raises:
        ValueError: if one of them is not above 0 and at most 1.
    """

    least: float = 1e-3
    rate: float = 0.005

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1; got {value}.")

    def observe(
        self, model: DynamicsModel, critic: Critic, state: TrainState, batch: Batch
    ) -> Tensor:
        """The errors join the running mean; zero at first, so that all gates start open."""
        inputs = model_inputs(batch.observations, batch.actions)
        predicted = model.linearize(state.model, inputs).next_observations
        errors = (predicted - batch.next_observations).square().mean(0)
        return torch.lerp(state.evidence, errors, self.rate)

    def see(self, evidence: Tensor, observations: Tensor) -> Tensor:
        """Multiply each dimension by what is predictable of it, (1 − mse) ∘ s."""
        return (1 - evidence).clamp_min(0) * observations

    def weigh(self, evidence: Tensor, metric: Metric) -> Metric:
        """The metric over mse, at the norm of the identity."""
        return metric.scaled(_normalized(1 / evidence.clamp_min(self.least)))


@dataclass(frozen=True)
class Given:
    """A dimension matters as far as somebody knows beforehand: an oracle, or a user.

    Attributes:
        gates: one for each dimension, from 0 to 1; the prior is their square.

    Raises:
        ValueError: if a gate is outside that range, or all are zero.
    """

    gates: tuple[float, ...]

    def __post_init__(self) -> None:
        if not any(self.gates) or not all(0 <= gate <= 1 for gate in self.gates):
            raise ValueError(f"Gates must be from 0 to 1, and one above 0; got {self.gates}.")

    def observe(
        self, model: DynamicsModel, critic: Critic, state: TrainState, batch: Batch
    ) -> Tensor:
        """Nothing is left to be learned."""
        return state.evidence

    def see(self, evidence: Tensor, observations: Tensor) -> Tensor:
        """Multiply each dimension by its gate."""
        return observations * torch.tensor(self.gates).to(observations)

    def weigh(self, evidence: Tensor, metric: Metric) -> Metric:
        """The metric times the squared gates, at the norm of the identity."""
        return metric.scaled(_normalized(torch.tensor(self.gates).to(evidence).square()))


@dataclass(frozen=True)
class GatesOnly:
    """Another relevance without its prior.

    Attributes:
        relevance: the other one.
    """

    relevance: Relevance

    def observe(
        self, model: DynamicsModel, critic: Critic, state: TrainState, batch: Batch
    ) -> Tensor:
        """As the other."""
        return self.relevance.observe(model, critic, state, batch)

    def see(self, evidence: Tensor, observations: Tensor) -> Tensor:
        """As the other."""
        return self.relevance.see(evidence, observations)

    def weigh(self, evidence: Tensor, metric: Metric) -> Metric:
        """The metric as it is."""
        return metric


@dataclass(frozen=True)
class PriorOnly:
    """Another relevance without its gates.

    Attributes:
        relevance: the other one.
    """

    relevance: Relevance

    def observe(
        self, model: DynamicsModel, critic: Critic, state: TrainState, batch: Batch
    ) -> Tensor:
        """As the other."""
        return self.relevance.observe(model, critic, state, batch)

    def see(self, evidence: Tensor, observations: Tensor) -> Tensor:
        """All of it."""
        return observations

    def weigh(self, evidence: Tensor, metric: Metric) -> Metric:
        """As the other."""
        return self.relevance.weigh(evidence, metric)


def _normalized(weights: Tensor) -> Tensor:
    """Rescaled to the norm of ones, so that one means as much as before: (n,) → (n,)."""
    norm: Tensor = torch.linalg.vector_norm(weights)
    return weights * (math.sqrt(weights.shape[-1]) / norm)
