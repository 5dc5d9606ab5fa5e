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
from ..envs import DISTRACTOR_KINDS
from ..relevance import AllAlike
from ..runs.baselines import dqn, sac
from ..runs.environments import EnvironmentConfig
from .study import Study

COLUMNS = (
    "agent",
    "variant",
    "env",
    "distractor_kind",
    "num_distractors",
    "metric",
    "seed",
    "timesteps",
    "episode_return",
    "model_mse",
    "real_over_distractor_ratio",
    "ranking_auc",
    "cpu_s",
)

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
    variants={**_AGENTS, "sac": sac},
    environments=[
        EnvironmentConfig(env, num_distractors=k)
        for k in (64, 0, 16)
        for env in ("Pendulum-v1", "InvertedPendulum-v5")
    ],
    timesteps=30_000,
    seeds=range(5),
    columns=COLUMNS,
    panel=("env", "num_distractors"),
)

_WIDE = {
    name: replace(_AGENTS[name], critic_hidden=(128, 128), model_hidden=(128, 128))
    for name in ("taskmet", "mle")
}

LOCOMOTION = Study(
    name="locomotion",
    question="And on larger bodies, with 32 distractors?",
    variants={**_WIDE, "sac": sac},
    environments=[
        EnvironmentConfig(env, num_distractors=k)
        for k in (32, 0)
        for env in ("Hopper-v5", "HalfCheetah-v5")
    ],
    timesteps=100_000,
    seeds=range(3),
    columns=COLUMNS,
    eval_every=5_000,
    panel=("env", "num_distractors"),
)

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
    columns=COLUMNS,
    panel=("distractor_kind", "num_distractors"),
)
