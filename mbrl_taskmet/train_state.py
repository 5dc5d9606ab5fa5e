"""Everything that learning changes, as plain tensors, and the optimiser that changes it."""

from typing import NamedTuple

import torch
from torch import Tensor

from mbrl_taskmet.normalizer import Normalizer, identity_like

Info = dict[str, Tensor]
"""Scalars that an update reports, by the name under which they are logged."""


class AdamState(NamedTuple):
    """Adam's running moments of the gradient, and the number of steps taken."""

    first_moment: Tensor
    second_moment: Tensor
    steps: Tensor


def adam_init(parameters: Tensor) -> AdamState:
    """Moments of zero, of the shape of the parameters."""
    zeros = torch.zeros_like(parameters)
    return AdamState(zeros, zeros.clone(), parameters.new_zeros(()))


def adam_step(
    parameters: Tensor,
    gradient: Tensor,
    state: AdamState,
    learning_rate: float | Tensor,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> tuple[Tensor, AdamState]:
    """One step of Adam (Kingma and Ba 2015, arXiv 1412.6980, algorithm 1).

    Args:
        parameters: any shape.
        gradient: of the loss to be lowered, the parameters' shape.
        state: the moments so far.
        learning_rate: step size, a number or a scalar.
        beta1: decay of the first moment.
        beta2: decay of the second moment.
        eps: added to the root of the second moment.

    Returns:
        The new parameters and the new moments.
    """
    steps = state.steps + 1
    first = torch.lerp(state.first_moment, gradient, 1 - beta1)
    second = torch.lerp(state.second_moment, gradient * gradient, 1 - beta2)
    unbiased_first = first / (1 - beta1**steps)
    unbiased_second = second / (1 - beta2**steps)
    change = learning_rate * unbiased_first / (unbiased_second.sqrt() + eps)
    return parameters - change, AdamState(first, second, steps)


class Sight(NamedTuple):
    """What is seen of each dimension, and how much it counts, as a `Relevance` judges.

    Attributes:
        evidence: shape (n,), the running mean behind the judgement; zero where none is kept.
        gates: shape (n,), by which model and critic see a dimension.
        prior: shape (n,), by which the metric weighs it, beside what it learns.
    """

    evidence: Tensor
    gates: Tensor
    prior: Tensor


class TrainState(NamedTuple):
    """All that one update reads and returns.

    Attributes:
        model: θ, the dynamics network's parameters and then the reward network's.
        critic: ω, shape (J, P) for an ensemble of J critics.
        target_critic: ω̄, the Polyak average of ω.
        policy: ψ, what the policy has of its own; empty where it follows from the critic.
        metric: φ.
        model_optimizer: Adam's state for θ.
        critic_optimizer: Adam's state for ω.
        policy_optimizer: Adam's state for ψ.
        metric_optimizer: Adam's state for φ.
        normalizer: through which model, critic and metric see observations; whoever gathers
            experience sets it, and no update changes it.
        sight: what model and critic see of each dimension.
        annealing: share of the critic's and the policy's step size that is in force, a scalar;
            set from without, as the normaliser is.
    """

    model: Tensor
    critic: Tensor
    target_critic: Tensor
    policy: Tensor
    metric: Tensor
    model_optimizer: AdamState
    critic_optimizer: AdamState
    policy_optimizer: AdamState
    metric_optimizer: AdamState
    normalizer: Normalizer
    sight: Sight
    annealing: Tensor


def train_state(
    model: Tensor, critic: Tensor, policy: Tensor, metric: Tensor, sight: Sight
) -> TrainState:
    """A fresh state: target critic equal to critic, optimisers at rest, nothing normalised."""
    return TrainState(
        model=model,
        critic=critic,
        target_critic=critic.clone(),
        policy=policy,
        metric=metric,
        model_optimizer=adam_init(model),
        critic_optimizer=adam_init(critic),
        policy_optimizer=adam_init(policy),
        metric_optimizer=adam_init(metric),
        normalizer=identity_like(model, sight.evidence.shape[-1]),
        sight=sight,
        annealing=critic.new_ones(()),
    )
