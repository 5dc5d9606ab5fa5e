"""Distractors that are harder than noise: what diagonal and full metrics say of each kind."""

from ..agents import MLEConfig, TaskMetConfig
from ..envs import DISTRACTOR_KINDS
from ..relevance import AllAlike
from ..runs.baselines import dqn
from ..runs.environments import EnvironmentConfig
from .study import COLUMNS_WITH_ENV, Study

HARDER = Study(
    name="harder",
    question="What do diagonal and full metrics say of distractors that are more than noise?",
    variants={
        "taskmet": TaskMetConfig(),
        "taskmet_full": TaskMetConfig(metric="full"),
        # Without gates and prior, which are diagonal: the hypergradient by itself.
        "taskmet_full_alone": TaskMetConfig(metric="full", relevance=AllAlike()),
        "taskmet_alone": TaskMetConfig(relevance=AllAlike()),
        "mle": MLEConfig(),
        "dqn": dqn,
    },
    # Permuted, since a dimension's place is not nothing to a Cholesky factor.
    environments=[
        EnvironmentConfig(num_distractors=16, kind=kind, permute=True) for kind in DISTRACTOR_KINDS
    ],
    timesteps=30_000,
    seeds=range(3),
    columns=COLUMNS_WITH_ENV,
    panel=("distractor_kind", "num_distractors"),
)
