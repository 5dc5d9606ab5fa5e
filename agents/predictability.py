"""Predictability: the model and the critic look at what can be predicted."""

from typing import ClassVar

from ..trilevel import ModelBasedUpdate
from .base import ModelBasedAlgorithm
from .config import AgentConfig, PredictabilityConfig


class Predictability(ModelBasedAlgorithm):
    """Model-based learning of a soft value, each dimension gated and weighed by its error.

    The baseline to beat on independent noise: it has no bilevel step and knows nothing of the task.
    """

    config_class: ClassVar[type[AgentConfig]] = PredictabilityConfig
    config: PredictabilityConfig

    def _make_update(self) -> ModelBasedUpdate:
        return ModelBasedUpdate(**self._levels(), relevance=self.config.relevance)
