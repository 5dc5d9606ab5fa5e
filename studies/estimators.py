"""Estimators of the hypergradient, how an agent is asked for estimates, and what is measured."""

from collections.abc import Mapping
from dataclasses import fields
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..agents import ModelBasedAlgorithm, TaskMetConfig
from ..agents.config import PUBLISHED
from ..agents.separation import Separation
from ..hypergradient import (
    FullHessian,
    HypergradientEstimator,
    ImplicitGradient,
    UnrolledGradient,
)
from ..known_names import CART_POLE
from ..linear_solvers import (
    ConjugateGradient,
    Identity,
    LinearSolver,
    NeumannSeries,
    NormalEquationCG,
)
from ..trilevel import ModelBasedUpdate, TaskMetUpdate

SNR_REAL = tuple(f"snr_real_{number}" for number in range(len(CART_POLE)))
# Of the mean estimate and of single ones: the cosine with the reference, and how well they rank the
# real dimensions. The signal-to-noise ratio, mean over standard deviation, is signed for the real
# dimensions (above zero, they should weigh more), for each and their mean, and absolute for the
# distractors, their mean.
MEASURES = (
    "cosine",
    "single_cosine",
    *SNR_REAL,
    "snr_real",
    "snr_distractor",
    "ranking_auc",
    "single_ranking_auc",
)


class Estimator(NamedTuple):
    """One way to estimate the hypergradient.

    Attributes:
        hypergradient: carries the task's gradient over to the metric.
        same_batch: whether the task loss is taken on the batch of the optimality condition.
        centred: whether the task residual is the model's part only.
        critic_solver: solves with the critic's curvature, if anything does.
    """

    hypergradient: HypergradientEstimator
    same_batch: bool = False
    centred: bool = True
    critic_solver: LinearSolver | None = None


PUBLISHED_SOLVE = PUBLISHED[TaskMetConfig]["hypergradient"]

ESTIMATORS: Mapping[str, Estimator] = {
    "shipped": Estimator(ImplicitGradient()),
    "same batch": Estimator(ImplicitGradient(), same_batch=True),
    "whole error": Estimator(ImplicitGradient(), centred=False),
    "published solve": Estimator(PUBLISHED_SOLVE),
    "published": Estimator(PUBLISHED_SOLVE, same_batch=True, centred=False),
    "no solve": Estimator(ImplicitGradient(Identity())),
    "2 iterations": Estimator(ImplicitGradient(ConjugateGradient(2))),
    "10 iterations": Estimator(ImplicitGradient(ConjugateGradient(10))),
    "50 iterations": Estimator(ImplicitGradient(ConjugateGradient(50))),
    "normal equations": Estimator(ImplicitGradient(NormalEquationCG(10))),
    "Neumann series": Estimator(ImplicitGradient(NeumannSeries(10))),
    "full Hessian": Estimator(ImplicitGradient(curvature=FullHessian())),
    "damping 0.1": Estimator(ImplicitGradient(damping=0.1)),
    "unrolled 5 steps": Estimator(UnrolledGradient(5)),
    "critic solved": Estimator(ImplicitGradient(), critic_solver=ConjugateGradient(5)),
}
"""What is compared: the shipped one, what differs from it in one part, and the published one."""

REFERENCE = Estimator(ImplicitGradient(ConjugateGradient(100)))


def ask(
    agent: ModelBasedAlgorithm,
    estimator: Estimator,
    number: int,
    batch_size: int,
    generator: torch.Generator,
) -> Tensor:
    """How much each dimension's weight should grow, −g_φ, of some estimates: shape (number, n)."""
    levels = {f.name: getattr(agent.learner.update, f.name) for f in fields(ModelBasedUpdate)}
    update = TaskMetUpdate(
        **levels,
        centred=estimator.centred,
        critic_solver=estimator.critic_solver,
        hypergradient=estimator.hypergradient,
    )
    state, gains = agent.learner.state, []
    for _ in range(number):
        drawn = agent.replay_buffer.sample_batches(batch_size, 2, generator)
        batch, task_batch = (update.look_at(state, one) for one in drawn)
        with torch.no_grad():
            estimate, _ = update.estimate(
                state, batch, batch if estimator.same_batch else task_batch
            )
        gains.append(-estimate.gradient)
    return torch.stack(gains)


def measure(asked: Tensor, reference: Tensor, distractors: NDArray[np.bool_]) -> tuple[float, ...]:
    """`MEASURES` of some estimates.

    Args:
        asked: how much each dimension's weight should grow, by each estimate: shape (E, n).
        reference: the same of a large sample, shape (n,).
        distractors: True for a distractor, shape (n,).
    """
    mean, real = asked.mean(0), torch.from_numpy(~distractors)
    ratio = mean / asked.std(0)
    cosine = torch.nn.functional.cosine_similarity
    return (
        cosine(mean, reference, dim=0).item(),
        cosine(asked, reference[None]).mean().item(),
        *ratio[real].tolist(),
        ratio[real].mean().item(),
        ratio[~real].abs().mean().item(),
        _auc(mean, distractors),
        float(np.mean([_auc(one, distractors) for one in asked])),
    )


def _auc(gain: Tensor, distractors: NDArray[np.bool_]) -> float:
    return Separation.of(gain.double().numpy(), distractors).ranking_auc
