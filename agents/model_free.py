"""No model in the loop: what a perfect one would give."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..batch import Batch
from ..train_state import TrainState
from ..trilevel import ModelBasedUpdate
from .base import ModelBasedAlgorithm
from .config import AgentConfig, ModelFreeConfig


@dataclass(frozen=True, kw_only=True)
class ModelFreeUpdate(ModelBasedUpdate):
    """The value learner on true transitions; the model is fitted beside it, and not used."""

    def critic_targets(self, state: TrainState, batch: Batch) -> Tensor:
        """The true ones, y = r + γ m V̄(s′)."""
        return self.true_targets(state, batch)


class ModelFree(ModelBasedAlgorithm):
    """The value learner without a model: the oracle in place of the model's level."""

    config_class: ClassVar[type[AgentConfig]] = ModelFreeConfig

    def _make_update(self) -> ModelBasedUpdate:
        return ModelFreeUpdate(**self._levels())
