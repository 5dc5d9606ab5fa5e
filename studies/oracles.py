"""Which level is the bottleneck? One level at a time is replaced by what a perfect one would do."""

from collections.abc import Callable
from typing import Any

from ..agents import MLEConfig, ModelFreeConfig, TaskMetConfig
from ..agents.config import Preset, configure
from ..known_names import CART_POLE
from ..relevance import CriticSensitivity, GatesOnly, Given, PriorOnly, Relevance
from ..runs.environments import EnvironmentConfig
from ..runs.training import Run, TrainingConfig
from .study import Study

ENVIRONMENTS = [EnvironmentConfig(num_distractors=k) for k in (16, 128)]
"""Of both studies."""

CLOSED = CriticSensitivity().floor
"""TaskMet's own gate of a distractor, whose square is left to its weight."""

AJAR = 30**-0.5
"""A gate that leaves a distractor a thirtieth of a real dimension's weight, about the least that it
had in a learned metric which ranked all right, with the paper's settings at 128."""


def told(
    wrap: Callable[[Relevance], Relevance] = lambda given: given,
    *,
    closed: float = 0.0,
    preset: Preset = "default",
) -> Callable[..., Run]:
    """Maximum likelihood that is told which dimensions are real, by the gate of the others."""

    def make(environment: EnvironmentConfig, **options: Any) -> TrainingConfig:
        # CartPole's own dimensions come first.
        given = Given((1.0,) * len(CART_POLE) + (closed,) * environment.num_distractors)
        agent = configure(MLEConfig, preset, {"relevance": wrap(given)})
        return TrainingConfig(agent, environment, **options)

    return make


ORACLES = Study(
    name="oracles",
    question="Which level is the bottleneck, when one at a time is replaced by an oracle?",
    variants={
        "nothing (MLE)": MLEConfig(),
        "true model": ModelFreeConfig(),
        # Not zero, since the critic sees the predicted distractors, which someone has to learn.
        "true metric": told(PriorOnly, closed=CLOSED),
        "true gates": told(GatesOnly),
        "true metric and gates": told(),
        # At the rates of the others, which differ from each other by a level only.
        "taskmet": TaskMetConfig(learning_rate_decay=0.0),
    },
    environments=ENVIRONMENTS,
    timesteps=50_000,
    seeds=range(5),
)

# With no level told, MLE and TaskMet stand in the study `published`.
PUBLISHED_ORACLES = Study(
    name="published_oracles",
    question="What would the published method lack, if one level at a time were perfect?",
    variants={
        "true model": configure(ModelFreeConfig, "published", {}),
        "true metric": told(PriorOnly, closed=CLOSED, preset="published"),
        "true metric, 30 to 1": told(PriorOnly, closed=AJAR, preset="published"),
        "true gates": told(GatesOnly, preset="published"),
        "true metric and gates": told(preset="published"),
    },
    environments=ENVIRONMENTS,
    timesteps=200_000,
    eval_every=5_000,
    seeds=range(5),
)
