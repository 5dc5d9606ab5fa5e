"""How good is each estimator of the hypergradient, at several stages of training?

At each stage every estimator is asked many times, each time on fresh batches of the replay buffer,
and compared with a reference: what is shipped, from batches 32 times as large and a hundred
iterations. An estimator that asks another question (the whole error, another curvature or damping)
is thus also measured by how far its question is from the shipped one.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.table import Table
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from torch import Tensor

from ..agents import MetricWeights, MLEConfig, ModelBasedAlgorithm, TaskMetConfig
from ..agents.config import PUBLISHED
from ..hypergradient import (
    FullHessian,
    HypergradientEstimator,
    ImplicitGradient,
    UnrolledGradient,
)
from ..linear_solvers import (
    ConjugateGradient,
    Identity,
    LinearSolver,
    NeumannSeries,
    NormalEquationCG,
)
from ..runs.environments import EnvironmentConfig
from ..runs.run_folder import RunFolder
from ..runs.training import Report, ReportCallback, TrainingConfig
from ..trilevel import ModelBasedUpdate, TaskMetUpdate
from .oracles import REAL
from .resumable import Row
from .study import Study

BATCH_SIZE, ESTIMATES = 256, 64
REFERENCE_BATCH_SIZE, REFERENCES = 32 * BATCH_SIZE, 4
SNR_REAL = tuple(f"snr_real_{number}" for number in range(REAL))
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


@dataclass(frozen=True)
class HypergradientRun:
    """A training run that is stopped every so often to ask all estimators.

    Attributes:
        hyperparameters: of the agent that is trained.
        environment: with its distractors.
        timesteps: environment steps.
        seed: of everything random.
        eval_every: steps between two stages.
    """

    hyperparameters: MLEConfig | TaskMetConfig
    environment: EnvironmentConfig
    timesteps: int
    seed: int
    eval_every: int

    @property
    def training(self) -> TrainingConfig:
        """How the agent is trained."""
        return TrainingConfig(self.hyperparameters, self.environment, self.timesteps, self.seed)

    @property
    def agent_name(self) -> str:
        """Name of the agent that is trained."""
        return self.training.agent_name

    @property
    def model_hidden(self) -> tuple[int, ...]:
        """Hidden layers of its model."""
        return self.training.model_hidden

    @property
    def metric(self) -> str:
        """Form of its metric."""
        return self.training.metric

    def train(self, folder: Path, report: Report) -> None:
        """Train in a new folder, where the measurements are written as evaluations."""
        torch.set_num_threads(1)
        agent = self.training.make_agent()
        run = RunFolder(folder)
        run.write_config(self.training.as_json())
        agent.set_logger(configure(str(folder), ["csv"]))
        assert agent.env is not None
        stages = StagesCallback(agent.env.get_attr("distractor_mask")[0], self.eval_every)
        agent.learn(self.timesteps, callback=[stages, ReportCallback(report)])
        agent.logger.close()
        with run.evaluations.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("timesteps", "estimator", *MEASURES))
            writer.writerows(stages.rows)


class StagesCallback(BaseCallback):
    """Asks all estimators every so many steps.

    Args:
        distractors: True for a distractor, shape (n,).
        interval: environment steps between two stages.
    """

    model: ModelBasedAlgorithm

    def __init__(self, distractors: NDArray[np.bool_], interval: int) -> None:
        super().__init__()
        self._distractors = distractors
        self._interval = interval
        self.rows: list[tuple[Any, ...]] = []

    def _on_step(self) -> bool:
        if self.num_timesteps % self._interval == 0:
            generator = torch.Generator().manual_seed(self.num_timesteps)
            (reference,) = ask(
                self.model, REFERENCE, REFERENCES, REFERENCE_BATCH_SIZE, generator
            ).mean(0, keepdim=True)
            for name, estimator in ESTIMATORS.items():
                asked = ask(self.model, estimator, ESTIMATES, BATCH_SIZE, generator)
                measures = self._measure(asked, reference)
                self.rows.append((self.num_timesteps, name, *(f"{m:.4g}" for m in measures)))
        return True

    def _measure(self, asked: Tensor, reference: Tensor) -> tuple[float, ...]:
        """`MEASURES` of estimates of shape (E, n)."""
        mean, real = asked.mean(0), torch.from_numpy(~self._distractors)
        ratio = mean / asked.std(0)
        cosine = torch.nn.functional.cosine_similarity
        return (
            cosine(mean, reference, dim=0).item(),
            cosine(asked, reference[None]).mean().item(),
            *ratio[real].tolist(),
            ratio[real].mean().item(),
            ratio[~real].abs().mean().item(),
            self._auc(mean),
            float(np.mean([self._auc(one) for one in asked])),
        )

    def _auc(self, gain: Tensor) -> float:
        weights = MetricWeights(self.model.dimension_names, gain.double().numpy())
        return weights.separation(self._distractors).ranking_auc


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


def table(study: Study, rows: Sequence[Row]) -> Table:
    """Each estimator's measures, means over seeds and stages."""
    shown = Table("trained", "estimator", "runs", *MEASURES, title=study.question)
    for (variant, estimator), group in _grouped(rows).items():
        means = [np.mean([float(row[measure]) for row in group]) for measure in MEASURES]
        seeds = len({row["seed"] for row in group})
        shown.add_row(variant, estimator, str(seeds), *(f"{mean:.3f}" for mean in means))
    return shown


def draw(study: Study, rows: Sequence[Row], path: Path) -> None:
    """Draw cosine, ranking and signal-to-noise ratios over the stages, means over seeds."""
    variants = list(dict.fromkeys(row["variant"] for row in rows))
    figure = Figure(figsize=(18, 3.8 * len(variants)), layout="constrained")
    axes = figure.subplots(len(variants), 3, squeeze=False)
    for (variant, estimator), group in _grouped(rows).items():
        cosine, ranking, noise = axes[variants.index(variant)]
        # There are more of them than colours.
        place = list(ESTIMATORS).index(estimator)
        style, color = "o-" if place < 10 else "x--", f"C{place % 10}"
        for axis, measure in ((cosine, "cosine"), (ranking, "ranking_auc")):
            axis.plot(*_course(group, measure), style, color=color, label=estimator)
            axis.set(ylabel=f"{measure} of the mean estimate")
        if estimator == "shipped":
            for measure in SNR_REAL:
                noise.plot(*_course(group, measure), "o-", label=measure)
            noise.plot(*_course(group, "snr_distractor"), "k:", label="snr_distractor")
            noise.set(ylabel="mean / standard deviation, shipped")
        for axis in (cosine, ranking, noise):
            axis.set(title=f"trained: {variant}", xlabel="environment steps")
    axes[0, 2].legend(fontsize="x-small")
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=len(ESTIMATORS) // 2 + 1,
        fontsize="small",
    )
    figure.savefig(path, dpi=100)


def _course(rows: Sequence[Row], measure: str) -> tuple[list[int], list[float]]:
    """The stages, and the mean over seeds at each."""
    by_stage: dict[int, list[float]] = {}
    for row in rows:
        by_stage.setdefault(int(row["timesteps"]), []).append(float(row[measure]))
    return list(by_stage), [float(np.mean(values)) for values in by_stage.values()]


def _grouped(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """By what was trained and by estimator, in the order of `ESTIMATORS`."""
    variants = dict.fromkeys(row["variant"] for row in rows)
    groups: dict[tuple[str, str], list[Row]] = {key: [] for key in product(variants, ESTIMATORS)}
    for row in rows:
        groups[row["variant"], row["estimator"]].append(row)
    return groups


def measured(hyperparameters: MLEConfig | TaskMetConfig) -> Callable[..., HypergradientRun]:
    """What makes a run that measures while it trains."""
    return partial(HypergradientRun, hyperparameters)


HYPERGRADIENT = Study(
    name="hypergradient",
    question="Which estimator of the hypergradient ranks the real dimensions first?",
    # At constant rates, since the stages are those of a longer training.
    variants={
        "mle": measured(MLEConfig()),
        "taskmet": measured(TaskMetConfig(learning_rate_decay=0.0)),
    },
    environments=[EnvironmentConfig(num_distractors=128)],
    timesteps=40_000,
    seeds=range(5),
    eval_every=5_000,
    estimators=tuple(ESTIMATORS),
    columns=(
        "study",
        "agent",
        "variant",
        "num_distractors",
        "seed",
        "timesteps",
        "estimator",
        *MEASURES,
    ),
    table=table,
    draw=draw,
)
