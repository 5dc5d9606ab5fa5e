"""What does each ingredient of TaskMet add?"""

from dataclasses import fields, replace

from ..agents import MLEConfig, TaskMetConfig
from ..relevance import GatesOnly, PriorOnly
from ..runs.environments import EnvironmentConfig
from .study import Study


def without_hypergradient(config: TaskMetConfig) -> MLEConfig:
    """Maximum likelihood through the same gates, under the prior alone, and alike in all else."""
    return MLEConfig(**{f.name: getattr(config, f.name) for f in fields(MLEConfig)})


_SHIPPED = TaskMetConfig()
_RELEVANCE = _SHIPPED.relevance

ABLATION = Study(
    name="ablation",
    question="What does each ingredient of TaskMet add, by leaving it out?",
    variants={
        "taskmet": _SHIPPED,
        "no hypergradient": without_hypergradient(_SHIPPED),
        "no gates": replace(_SHIPPED, relevance=PriorOnly(_RELEVANCE)),
        "no prior": replace(_SHIPPED, relevance=GatesOnly(_RELEVANCE)),
        "input scale 1": replace(_SHIPPED, input_scale=1.0),
        "no bound on weights": replace(_SHIPPED, largest_weight=None),
        "one batch for both": replace(_SHIPPED, independent_batches=False),
        "whole error": replace(_SHIPPED, centred_task_gradient=False),
        "constant rate": replace(_SHIPPED, learning_rate_decay=0.0),
    },
    environments=[
        EnvironmentConfig(num_distractors=128, kind=kind) for kind in ("autoregressive", "gaussian")
    ],
    timesteps=50_000,
    seeds=range(5),
    panel=("distractor_kind", "num_distractors"),
)
