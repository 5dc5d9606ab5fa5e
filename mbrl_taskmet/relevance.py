"""Which dimensions matter, told early: gates before the networks, and a prior for the metric.

The hypergradient asks the right question of every dimension, but through one noisy batch at a
time, and to a critic that drowns in distracting inputs it says nothing. A relevance is a cheap and
steady answer, kept as a running mean by dimension: a `Sight`, whose gates multiply what model and
critic see, and whose prior multiplies the metric.
"""

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mbrl_taskmet.arguments import is_real
from mbrl_taskmet.batch import Batch
from mbrl_taskmet.critic import Critic
from mbrl_taskmet.dynamics import DynamicsModel
from mbrl_taskmet.train_state import Sight, TrainState


class Relevance:
    """What tells a dimension that matters; by itself, that all are alike."""

    def check(self, num_dimensions: int) -> None:
        """Refuse a state of n dimensions, if it cannot be told of.

        Raises:
            ValueError: if it cannot.
        """

    @property
    def gathers(self) -> str:
        """What its evidence is of, since of another's it can make nothing; empty if of nothing."""
        return ""

    def observe(
        self, model: DynamicsModel, critic: Critic, state: TrainState, batch: Batch
    ) -> Tensor:
        """The running evidence after a batch as `ModelBasedUpdate.look_at` shows it, shape (n,)."""
        return state.sight.evidence

    def gates(self, evidence: Tensor) -> Tensor:
        """From 0 for a dimension that is not seen to 1, shape (n,)."""
        return torch.ones_like(evidence)

    def prior(self, evidence: Tensor, gates: Tensor) -> Tensor:
        """An error counts by the square of what is seen of it: shape (n,), up to a factor."""
        return gates.square()

    def judge(self, evidence: Tensor) -> Sight:
        """What follows from the evidence; the prior rescaled to the norm of the identity."""
        gates = self.gates(evidence)
        prior = self.prior(evidence, gates)
        norm = torch.linalg.vector_norm(prior)
        return Sight(evidence, gates, prior * (math.sqrt(prior.shape[-1]) / norm))


@dataclass(frozen=True)
class AllAlike(Relevance):
    """Every dimension matters: nothing is gated, and the metric has no prior."""


@dataclass(frozen=True)
class CriticSensitivity(Relevance):
    """A dimension matters as far as two critics agree that the value depends on it.

    Where the critic fits its targets and rewards are known, the task loss is to first order
    mean_B[(γ m ∇V·(ŝ′ − s′))²], which a diagonal metric λ_i = E[(∂_i V)²] weighs as it should
    (VaGraM, Voelcker et al. 2022, arXiv 2204.01464). The square is taken across two critics,

        S_i = E[∂_i Q̄_1 ∂_i Q̄_2],

    the target critics, in what they see, at the actions of their common policy. What a critic owes
    to its initialisation is independent of the other's: its part of S_i has mean zero where that of
    a square has not, and lies under what is learned sooner. The gates are

        g = floor + (1 − floor) S² / (S² + (threshold · max S)²),     S clamped at zero,

    open for all that is within reach of the most relevant dimension, so that without distractors
    little closes; the floor lets a closed gate open again. They follow S from the first update
    on, when it says little yet. Sensitivities compare between dimensions only if the observations
    are normalised.

    Attributes:
        threshold: sensitivity at which a gate is half open, as a share of the largest.
        floor: what a closed gate lets through.
        rate: share of a new batch in the running mean of S.
        agreement: p, at least 0. S counts by the p-th power of the correlation ρ between the
            critics' gradients, which does not depend on how large they are; zero leaves it out.

    Raises:
        ValueError: if one of the first three is not above 0 and at most 1, or the last is negative.
    """

    threshold: float = 0.1
    floor: float = 0.01
    rate: float = 0.005
    agreement: float = 0.0

    def __post_init__(self) -> None:
        _check_shares(threshold=self.threshold, floor=self.floor, rate=self.rate)
        if not is_real(self.agreement) or not 0 <= self.agreement < math.inf:
            raise ValueError(
                f"agreement is a power, such as 4, and at least 0; got {self.agreement!r}."
            )

    @property
    def gathers(self) -> str:
        """Sensitivities."""
        return "sensitivities"

    def observe(
        self, model: DynamicsModel, critic: Critic, state: TrainState, batch: Batch
    ) -> Tensor:
        """S_i of this batch joins the running mean; zero at first, when all gates are open.

        Raises:
            ValueError: if there is only one critic.
        """
        if state.target_critic.shape[0] < 2:
            raise ValueError("CriticSensitivity compares critics: use an ensemble of two or more.")
        products = critic.sensitivities(
            state.target_critic, state.policy, batch.observations, batch.noise
        )
        agreed = agreed_sensitivity(products, self.agreement)
        return torch.lerp(state.sight.evidence, agreed, self.rate)

    def gates(self, evidence: Tensor) -> Tensor:
        """The gates g, shape (n,)."""
        sensitivity = evidence.clamp_min(0)
        largest = sensitivity.amax(-1, keepdim=True)
        share = sensitivity / largest.clamp_min(torch.finfo(evidence.dtype).tiny)
        opening = share.square() / (share.square() + self.threshold**2)
        opening = torch.where(largest > 0, opening, torch.ones_like(opening))
        return self.floor + (1 - self.floor) * opening


def agreed_sensitivity(products: Tensor, power: float = 0.0) -> Tensor:
    """Mean over pairs of critics j < k of S ρ^p, S = E[∂_s Q_j ∂_s Q_k] and ρ their correlation.

    ρ = S / √(E[(∂_s Q_j)²] E[(∂_s Q_k)²]), and zero where that is negative.

    Args:
        products: E[∂_s Q_j ∂_s Q_k], shape (J, J, n).
        power: p; with zero S counts as it is.

    Returns:
        Shape (n,).
    """
    tiny = torch.finfo(products.dtype).tiny
    pairs = []
    for j, k in itertools.combinations(range(len(products)), 2):
        sizes = products[j, j].sqrt() * products[k, k].sqrt()
        correlation = products[j, k].clamp_min(0) / sizes.clamp_min(tiny)
        pairs.append(products[j, k] * correlation**power)
    return torch.stack(pairs).mean(0)


@dataclass(frozen=True)
class Predictability(Relevance):
    """A dimension matters as far as the model can predict it: nothing of the task.

    With mse_i the running error of the standardised dimension, the gates are 1 − mse_i and the
    prior is 1 / mse_i. Independent noise gives itself away; a predictable distractor does not.
    The observations must be normalised, by the agent or around it.

    Attributes:
        least: error below which a dimension weighs no more.
        floor: what a closed gate lets through, so that it can open again.
        rate: share of a new batch in the running mean of the errors.

    Raises:
        ValueError: if one of them is not above 0 and at most 1.
    """

    least: float = 1e-3
    floor: float = 1e-3
    rate: float = 0.005

    def __post_init__(self) -> None:
        _check_shares(least=self.least, floor=self.floor, rate=self.rate)

    @property
    def gathers(self) -> str:
        """Errors."""
        return "errors"

    def observe(
        self, model: DynamicsModel, critic: Critic, state: TrainState, batch: Batch
    ) -> Tensor:
        """The errors join the running mean; zero at first, so that all gates start open."""
        errors = model.prediction_errors(state.model, batch)
        return torch.lerp(state.sight.evidence, errors, self.rate)

    def gates(self, evidence: Tensor) -> Tensor:
        """What is predictable, 1 − mse: shape (n,)."""
        return (1 - evidence).clamp_min(self.floor)

    def prior(self, evidence: Tensor, gates: Tensor) -> Tensor:
        """The errors' inverse, 1 / mse: shape (n,)."""
        return 1 / evidence.clamp_min(self.least)


@dataclass(frozen=True)
class Given(Relevance):
    """A dimension matters as far as somebody knows beforehand: an oracle, or a user.

    Attributes:
        given: a gate for each dimension, from 0 to 1.

    Raises:
        ValueError: if a gate is outside that range, or all are zero.
    """

    given: tuple[float, ...]

    def __post_init__(self) -> None:
        try:
            fine = any(self.given) and all(0 <= gate <= 1 for gate in self.given)
        except TypeError:
            fine = False
        if not fine:
            raise ValueError(
                f"Gates must be numbers from 0 to 1, and one above 0; got {self.given!r}."
            )
        object.__setattr__(self, "given", tuple(map(float, self.given)))

    def check(self, num_dimensions: int) -> None:
        """Refuse another number of dimensions than there are gates."""
        if len(self.given) != num_dimensions:
            raise ValueError(
                f"There are {len(self.given)} gates for {num_dimensions} dimensions: give one each."
            )

    def gates(self, evidence: Tensor) -> Tensor:
        """Those given, shape (n,)."""
        return evidence.new_tensor(self.given)


@dataclass(frozen=True)
class PartOfRelevance(Relevance):
    """A part of another relevance, which gathers the evidence.

    Attributes:
        relevance: the other one.

    Raises:
        ValueError: if it is none, such as a class of them.
    """

    relevance: Relevance

    def __post_init__(self) -> None:
        if not isinstance(self.relevance, Relevance):
            raise ValueError(
                f"A part is of an object of mbrl_taskmet.relevance, such as CriticSensitivity(); "
                f"got {self.relevance!r}."
            )

    def check(self, num_dimensions: int) -> None:
        """As the other."""
        self.relevance.check(num_dimensions)

    @property
    def gathers(self) -> str:
        """As the other."""
        return self.relevance.gathers

    def observe(
        self, model: DynamicsModel, critic: Critic, state: TrainState, batch: Batch
    ) -> Tensor:
        """As the other."""
        return self.relevance.observe(model, critic, state, batch)


@dataclass(frozen=True)
class GatesOnly(PartOfRelevance):
    """Another relevance without its prior."""

    def gates(self, evidence: Tensor) -> Tensor:
        """As the other."""
        return self.relevance.gates(evidence)

    def prior(self, evidence: Tensor, gates: Tensor) -> Tensor:
        """All alike."""
        return torch.ones_like(evidence)


@dataclass(frozen=True)
class PriorOnly(PartOfRelevance):
    """Another relevance without its gates."""

    def prior(self, evidence: Tensor, gates: Tensor) -> Tensor:
        """As the other."""
        return self.relevance.prior(evidence, self.relevance.gates(evidence))


def _check_shares(**shares: float) -> None:
    for name, value in shares.items():
        if not is_real(value) or not 0 < value <= 1:
            raise ValueError(f"{name} must be above 0 and at most 1; got {value!r}.")
