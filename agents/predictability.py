"""Predictability: the model and the critic look at what can be predicted."""

from typing import ClassVar

from .config import AgentConfig, PredictabilityConfig
from .mle import MLE


class Predictability(MLE):
    """Maximum likelihood, each dimension gated and weighed by how well it can be predicted.

    The baseline to beat on independent noise: it has no bilevel step and knows nothing of the task.
    """

    config_class: ClassVar[type[AgentConfig]] = PredictabilityConfig
