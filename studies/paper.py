"""The studies of the paper's questions: distractors in number and in kind."""

from collections.abc import Mapping, Sequence

from ..agents import (
    MLEConfig,
    OMDConfig,
    PredictabilityConfig,
    TaskMetConfig,
    VaGraMConfig,
    VEPConfig,
)
from ..agents.config import configure
from ..relevance import AllAlike, CriticSensitivity
from ..runs.baselines import dqn, dqn_normalized
from ..runs.environments import EnvironmentConfig
from .study import Published, Study

NUMBERS = (16, 32, 64, 128, 256, 512)
"""Of distractors, in the paper."""

PAPER_RETURNS: Mapping[str, Sequence[tuple[float, float]]] = {
    "taskmet": [(497, 2.2), (463, 34.8), (387, 48.4), (378, 51.5), (252, 65.8), (310, 63.2)],
    "omd": [(402, 55), (422, 60), (340, 49), (220, 47), (172, 36.5), (80, 24)],
    "mle": [(437, 51), (250, 54), (205, 55), (38, 14), (51, 9), (37, 8)],
}
"""Mean return after 200,000 steps and its standard error over ten seeds, by agent, at each of
`NUMBERS` (arXiv 2312.05250)."""

PAPER_RUNS = "arXiv 2312.05250, last evaluation after 200,000 steps, mean and standard error"
"""How the paper came to its returns."""

_RESTART = "restart_critic_optimizer"

_BY_AGREEMENT = TaskMetConfig(relevance=CriticSensitivity(agreement=4.0))
"""TaskMet whose sensitivities count by how well the critics' gradients agree: a candidate, by
what tuning seeds say."""

AS_CODED = {"ortho_init": True, "restart_model_optimizer": True, "metric_warmup": 4_000}
"""What the public code of TaskMet has and the paper leaves open, or has otherwise: the metric
begins after 5,000 steps, 1,000 of them without an update."""


def beside(**variants: str) -> Published:
    """What the paper reports of some agents, by the variant that it is to be drawn beside."""
    return {
        variant: dict(zip(NUMBERS, PAPER_RETURNS[agent], strict=True))
        for variant, agent in variants.items()
    }


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
        # Without gates and prior: the hypergradient by itself.
        "taskmet_alone": TaskMetConfig(relevance=AllAlike()),
        "taskmet_alone_fitted": TaskMetConfig(relevance=AllAlike(), fitted_critic=True),
        "taskmet_agreement": _BY_AGREEMENT,
    },
    environments=[EnvironmentConfig(num_distractors=k) for k in (0, *NUMBERS)],
    timesteps=100_000,
    seeds=range(5),
    published=beside(taskmet_published="taskmet", omd="omd", mle="mle"),
    published_how=PAPER_RUNS,
)

PUBLISHED = Study(
    name="published",
    question="Does what was published do what was reported, with its settings and as many steps?",
    variants={
        "taskmet": configure(TaskMetConfig, "published", {}),
        "omd": configure(OMDConfig, "published", {}),
        "mle": configure(MLEConfig, "published", {}),
        "taskmet_restarted": configure(TaskMetConfig, "published", {_RESTART: True}),
        "omd_kept_moments": configure(OMDConfig, "published", {_RESTART: False}),
        "mle_restarted": configure(MLEConfig, "published", {_RESTART: True}),
        "taskmet_as_coded": configure(TaskMetConfig, "published", AS_CODED),
    },
    environments=[EnvironmentConfig(num_distractors=k) for k in NUMBERS],
    timesteps=200_000,
    eval_every=5_000,
    seeds=range(5),
    published=beside(taskmet="taskmet", omd="omd", mle="mle"),
    published_how=PAPER_RUNS,
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
        "taskmet_agreement": _BY_AGREEMENT,
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
