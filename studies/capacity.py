"""Does the task tell a model of little capacity what to spend it on?"""

from dataclasses import replace

from ..agents import MLEConfig, OMDConfig, TaskMetConfig, VEPConfig
from ..runs.environments import EnvironmentConfig
from .paper import COLUMNS
from .study import Study

WIDTHS = (2, 3, 4, 6, 8, 12, 16, 32)
"""Units in each of the model's two hidden layers."""

_AGENTS = {
    "mle": MLEConfig(),
    "omd": OMDConfig(),
    "vep": VEPConfig(),
    "taskmet": TaskMetConfig(),
    "taskmet_conditional": TaskMetConfig(metric_hidden=(32, 32)),
}

CAPACITY = Study(
    name="capacity",
    question="What is the return, and what the model's error, when the model is small?",
    variants={
        f"{name}-{width}": replace(agent, model_hidden=(width, width))
        for width in WIDTHS
        for name, agent in _AGENTS.items()
    },
    environments=[EnvironmentConfig(num_distractors=0)],
    timesteps=100_000,
    seeds=range(5),
    columns=COLUMNS,
    panel=("model_hidden",),
)
