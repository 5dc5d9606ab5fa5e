"""Which level is the bottleneck? One level at a time is replaced by what a perfect one would do."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..agents import MLEConfig, ModelFreeConfig, TaskMetConfig
from ..relevance import GatesOnly, Given, PriorOnly, Relevance
from ..runs.environments import EnvironmentConfig
from ..runs.training import Run, TrainingConfig
from .paper import COLUMNS
from .study import Study

REAL = 4
"""CartPole's own dimensions, which come first."""


def told(wrap: Callable[[Relevance], Relevance] = lambda given: given) -> Callable[..., Run]:
    """Maximum likelihood that is told which dimensions are real."""

    def make(environment: EnvironmentConfig, **options: Any) -> TrainingConfig:
        given = Given((1.0,) * REAL + (0.0,) * environment.num_distractors)
        return TrainingConfig(MLEConfig(relevance=wrap(given)), environment, **options)

    return make


ORACLES = Study(
    name="oracles",
    question="Which level is the bottleneck, when one at a time is replaced by an oracle?",
    variants={
        "nothing (MLE)": MLEConfig(),
        "true model": ModelFreeConfig(),
        "true metric": told(PriorOnly),
        "true gates": told(GatesOnly),
        "true metric and gates": told(),
        "taskmet": TaskMetConfig(),
    },
    environments=[EnvironmentConfig(num_distractors=k) for k in (16, 128)],
    timesteps=50_000,
    seeds=range(5),
    columns=COLUMNS,
)

_SHIPPED = TaskMetConfig()
_GATES = _SHIPPED.relevance

ABLATION = Study(
    name="ablation",
    question="What does each ingredient of TaskMet add, among predictable distractors?",
    variants={
        "taskmet": _SHIPPED,
        "no hypergradient": replace(_SHIPPED, metric_warmup=10**9),
        "no gates": replace(_SHIPPED, relevance=PriorOnly(_GATES)),
        "no prior": replace(_SHIPPED, relevance=GatesOnly(_GATES)),
        "input scale 1": replace(_SHIPPED, input_scale=1.0),
        "no bound on weights": replace(_SHIPPED, largest_weight=None),
        "one batch for both": replace(_SHIPPED, independent_batches=False),
        "whole error": replace(_SHIPPED, centred_task_gradient=False),
    },
    environments=[
        EnvironmentConfig(num_distractors=128, kind=kind) for kind in ("autoregressive", "gaussian")
    ],
    timesteps=50_000,
    seeds=range(5),
    columns=COLUMNS,
    panel=("distractor_kind", "num_distractors"),
)
