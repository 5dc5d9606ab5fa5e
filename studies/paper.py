"""The studies of the paper's questions: distractors in number and in kind."""

from ..agents import (
    MLEConfig,
    OMDConfig,
    PredictabilityConfig,
    TaskMetConfig,
    VaGraMConfig,
    VEPConfig,
)
from ..agents.config import configure
from ..runs.baselines import dqn, dqn_normalized
from ..runs.environments import EnvironmentConfig
from .study import Study

PAPER_RETURNS = {
    "taskmet_published": {16: 497, 32: 463, 64: 387, 128: 378, 256: 252, 512: 310},
    "omd": {16: 402, 32: 422, 64: 340, 128: 220, 256: 172, 512: 80},
    "mle": {16: 437, 32: 250, 64: 205, 128: 38, 256: 51, 512: 37},
}
"""Mean return after 200,000 steps, by variant and number of distractors (arXiv 2312.05250)."""

DISTRACTORS = Study(
    name="distractors",
    question="Does the return last as Gaussian distractors grow in number, and are they found out?",
    variants={
        "taskmet": TaskMetConfig(),
        "mle": MLEConfig(),
        "predictability": PredictabilityConfig(),
        "dqn": dqn,
        "dqn_normalized": dqn_normalized,
        "omd": OMDConfig(),
        "vep": VEPConfig(),
        "taskmet_published": configure(TaskMetConfig, "published", {}),
        "taskmet_constant_rate": TaskMetConfig(learning_rate_decay=0.0),
    },
    environments=[EnvironmentConfig(num_distractors=k) for k in (0, 16, 128, 512)],
    timesteps=100_000,
    seeds=range(5),
    published=PAPER_RETURNS,
)

KINDS = Study(
    name="kinds",
    question="Which dimensions matter, when distractors are predictable or follow the action?",
    variants={
        "taskmet": TaskMetConfig(),
        "mle": MLEConfig(),
        "predictability": PredictabilityConfig(),
        "vagram": VaGraMConfig(),
        "dqn": dqn,
        "taskmet_constant_rate": TaskMetConfig(learning_rate_decay=0.0),
    },
    environments=[
        EnvironmentConfig(num_distractors=k, kind=kind)
        for k in (128, 16)
        for kind in ("autoregressive", "sinusoid", "action_echo", "redundant", "gaussian")
    ],
    timesteps=100_000,
    seeds=range(5),
    panel=("distractor_kind", "num_distractors"),
)
