"""First light: does TaskMet learn noisy CartPole, and does its metric find what matters?"""

from dataclasses import replace

from ..agents import MLEConfig, OMDConfig, TaskMetConfig
from ..relevance import AllAlike
from ..runs.environments import EnvironmentConfig
from .study import Study

FIRST_LIGHT = Study(
    name="first_light",
    question="Does TaskMet learn CartPole with 16 distractors, and find the real dimensions?",
    variants={"mle": MLEConfig(), "omd": OMDConfig(), "taskmet": TaskMetConfig()},
    environments=[EnvironmentConfig(num_distractors=16)],
    timesteps=50_000,
    seeds=range(5),
    columns=(
        "agent",
        "num_distractors",
        "seed",
        "timesteps",
        "episode_return",
        "real_over_distractor_ratio",
        "real_in_top4",
    ),
)

FIRST_LIGHT_RAW = replace(
    FIRST_LIGHT,
    name="first_light_raw",
    question="The same on observations as they are, with a metric that learns from early on.",
    variants={
        "mle": MLEConfig(normalize_observations=False),
        "omd": OMDConfig(normalize_observations=False),
        # The metric alone: sensitivities in different units say nothing of each other.
        "taskmet": TaskMetConfig(
            normalize_observations=False,
            learning_rate_decay=0.0,
            metric_warmup=2_500,
            relevance=AllAlike(),
            input_scale=1.0,
            largest_weight=None,
        ),
    },
)
