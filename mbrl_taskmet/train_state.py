"""Everything that learning changes, as plain tensors."""

from typing import NamedTuple

from torch import Tensor

from mbrl_taskmet.adam import AdamState, adam_init
from mbrl_taskmet.normalizer import Normalizer, identity_like

Info = dict[str, Tensor]
"""Scalars that an update reports, by the name under which they are logged."""


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
        model_moments: Adam's, of θ.
        critic_moments: Adam's, of ω.
        policy_moments: Adam's, of ψ.
        metric_moments: Adam's, of φ.
        normalizer: through which model, critic and metric see observations; whoever gathers
            experience sets it, and no update changes it.
        sight: what model, metric, critic and actor see of each dimension.
        annealing: share of the critic's and the policy's step size that is in force, and of the
            pace of their gates, a scalar; set from without, as the normaliser is.
    """

    model: Tensor
    critic: Tensor
    target_critic: Tensor
    policy: Tensor
    metric: Tensor
    model_moments: AdamState
    critic_moments: AdamState
    policy_moments: AdamState
    metric_moments: AdamState
    normalizer: Normalizer
    sight: Sight
    annealing: Tensor


def train_state(
    model: Tensor, critic: Tensor, policy: Tensor, metric: Tensor, sight: Sight
) -> TrainState:
    """A fresh state: target critic equal to critic, moments zero, nothing normalised."""
    return TrainState(
        model=model,
        critic=critic,
        target_critic=critic.clone(),
        policy=policy,
        metric=metric,
        model_moments=adam_init(model),
        critic_moments=adam_init(critic),
        policy_moments=adam_init(policy),
        metric_moments=adam_init(metric),
        normalizer=identity_like(model, sight.evidence.shape[-1]),
        sight=sight,
        annealing=critic.new_ones(()),
    )
