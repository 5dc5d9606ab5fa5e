"""How good is each estimator of the hypergradient, at several stages of training?

At each stage every estimator is asked many times, each time on fresh batches of the replay buffer,
and compared with a reference: what is shipped, from batches 32 times as large and a hundred
iterations. An estimator that asks another question (the whole error, another curvature or damping)
is thus also measured by how far its question is from the shipped one.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback

from ..agents import MLEConfig, ModelBasedAlgorithm, TaskMetConfig
from ..runs.environments import EnvironmentConfig
from ..runs.job import Report
from ..runs.reporting import ReportCallback, logging_to
from ..runs.run_folder import RunFolder
from ..runs.training import TrainingConfig
from .estimator_figures import draw, table
from .estimators import ESTIMATORS, MEASURES, REFERENCE, ask, measure
from .study import Study

BATCH_SIZE, ESTIMATES = 256, 64
REFERENCE_BATCH_SIZE, REFERENCES = 32 * BATCH_SIZE, 4


@dataclass(frozen=True)
class HypergradientRun(TrainingConfig):
    """A training run that is stopped every `eval_every` steps to ask all estimators."""

    def train(self, folder: Path, report: Report) -> None:
        """Train in a new folder, where the measurements are written as evaluations."""
        agent = self.make_agent()
        run = RunFolder(folder)
        folder.mkdir(parents=True)
        assert agent.env is not None
        stages = StagesCallback(agent.env.get_attr("distractor_mask")[0], self.eval_every)
        with logging_to(agent, folder, ["csv"]):
            agent.learn(self.timesteps, callback=[stages, ReportCallback(report)])
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
                measures = measure(asked, reference, self._distractors)
                self.rows.append((self.num_timesteps, name, *(f"{m:.4g}" for m in measures)))
        return True


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
    shown_by=table,
    pictured_by=draw,
)
