"""Maximum likelihood: the model is fitted to all dimensions alike."""

from typing import ClassVar

from ..trilevel import ModelBasedUpdate
from .base import ModelBasedAlgorithm
from .config import AgentConfig, MLEConfig


class MLE(ModelBasedAlgorithm):
    """Model-based learning of a soft value with the mean squared error as the model's loss.

    The update is `ModelBasedUpdate` as it stands: the model, then the critic in the model.
    """

    config_class: ClassVar[type[AgentConfig]] = MLEConfig
    config: MLEConfig

    def _make_update(self) -> ModelBasedUpdate:
        return ModelBasedUpdate(**self._levels(), relevance=self.config.relevance)
