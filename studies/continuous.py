"""Continuous actions: the same loop with another value learner, on MuJoCo and on Pendulum."""

from dataclasses import replace

from ..agents import (
    MLEConfig,
    ModelFreeConfig,
    OMDConfig,
    PredictabilityConfig,
    TaskMetConfig,
    VaGraMConfig,
)
from ..runs.baselines import sac, sac_matched, sac_normalized
from ..runs.environments import EnvironmentConfig
from .study import COLUMNS_WITH_ENV, Study

_AGENTS = {
    name: replace(agent, critic_hidden=(64, 64), model_hidden=(64, 64))
    for name, agent in {
        "taskmet": TaskMetConfig(),
        "mle": MLEConfig(),
        "omd": OMDConfig(),
        # With the task residual that TaskMet has.
        "omd_centred": OMDConfig(centred_task_gradient=True),
        "vagram": VaGraMConfig(),
        "predictability": PredictabilityConfig(),
        # What the learner of values does by itself.
        "model_free": ModelFreeConfig(),
    }.items()
}

CONTINUOUS = Study(
    name="continuous",
    question="Does the return last under distractors where actions are continuous?",
    variants={
        **_AGENTS,
        "sac": sac,
        "sac_normalized": sac_normalized,
        "sac_matched": sac_matched,
    },
    environments=[
        EnvironmentConfig(env, num_distractors=k)
        for k in (64, 0, 16)
        for env in ("Pendulum-v1", "InvertedPendulum-v5")
    ],
    timesteps=30_000,
    seeds=range(5),
    columns=COLUMNS_WITH_ENV,
    panel=("env", "num_distractors"),
)

_WIDE = {
    name: replace(_AGENTS[name], critic_hidden=(128, 128), model_hidden=(128, 128))
    for name in ("taskmet", "mle", "model_free")
}

LOCOMOTION = Study(
    name="locomotion",
    question="And on larger bodies, with 32 distractors?",
    variants={**_WIDE, "sac": sac, "sac_matched": sac_matched},
    environments=[
        EnvironmentConfig(env, num_distractors=k)
        for k in (32, 0)
        for env in ("Hopper-v5", "HalfCheetah-v5")
    ],
    timesteps=100_000,
    seeds=range(3),
    columns=COLUMNS_WITH_ENV,
    eval_every=5_000,
    panel=("env", "num_distractors"),
)
