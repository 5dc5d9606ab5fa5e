"""The learners: Stable-Baselines3 algorithms that differ in how they train their model."""

from .base import ModelBasedAlgorithm
from .config import (
    AgentConfig,
    MLEConfig,
    ModelFreeConfig,
    OMDConfig,
    PredictabilityConfig,
    TaskMetConfig,
    VaGraMConfig,
    VEPConfig,
)
from .finite import DivergenceError
from .metric_weights import MetricWeights
from .mle import MLE
from .model_free import ModelFree
from .omd import OMD
from .predictability import Predictability
from .separation import Separation
from .taskmet import TaskMet
from .vagram import VaGraM
from .vep import VEP

AGENTS: dict[str, type[ModelBasedAlgorithm]] = {
    "mle": MLE,
    "omd": OMD,
    "vep": VEP,
    "vagram": VaGraM,
    "predictability": Predictability,
    "model_free": ModelFree,
    "taskmet": TaskMet,
}
"""Agents by the name they have on the command line."""

__all__ = [
    "AGENTS",
    "MLE",
    "OMD",
    "VEP",
    "AgentConfig",
    "DivergenceError",
    "MLEConfig",
    "MetricWeights",
    "ModelBasedAlgorithm",
    "ModelFree",
    "ModelFreeConfig",
    "OMDConfig",
    "Predictability",
    "PredictabilityConfig",
    "Separation",
    "TaskMet",
    "TaskMetConfig",
    "VEPConfig",
    "VaGraM",
    "VaGraMConfig",
]
