"""Does compiling change what is learned?"""

from ..agents import TaskMetConfig
from ..runs.environments import EnvironmentConfig
from .study import Study

COMPILATION = Study(
    name="compilation",
    question="Does TaskMet learn the same compiled and not, but for the order of roundings?",
    variants={
        "compiled": TaskMetConfig(compile=True),
        "eager": TaskMetConfig(compile=False),
    },
    environments=[EnvironmentConfig(num_distractors=16)],
    timesteps=50_000,
    seeds=range(5),
)
