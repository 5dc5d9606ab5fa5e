"""Optimal model design: the model learns from the task alone."""

from dataclasses import dataclass
from typing import ClassVar

from ..batch import Batch
from ..train_state import Info, TrainState
from ..trilevel import ModelBasedUpdate, TaskGradientUpdate
from .base import ModelBasedAlgorithm
from .config import AgentConfig, OMDConfig


@dataclass(frozen=True, kw_only=True)
class OMDUpdate(TaskGradientUpdate):
    """min_θ L_task(ω*(θ)): no prediction loss (Nikishin et al. 2021, arXiv 2106.03273)."""

    def fit_model(self, state: TrainState, batch: Batch) -> tuple[TrainState, Info]:
        """The model waits for the task; only its error is reported."""
        errors = self.model.prediction_errors(state.model, batch)
        return state, {"model_mse": errors.mean()}

    def learn_from_task(
        self, state: TrainState, batch: Batch, task_batch: Batch
    ) -> tuple[TrainState, Info]:
        """θ ← Adam(g_θ)."""
        gradient, info = self.task_gradient(state, task_batch)
        return self.step_model(state, gradient), info


class OMD(ModelBasedAlgorithm):
    """Model-based learning of a soft value whose model minimises the task loss itself."""

    config_class: ClassVar[type[AgentConfig]] = OMDConfig
    config: OMDConfig

    def _make_update(self) -> ModelBasedUpdate:
        return OMDUpdate(**self._levels(), centred=self.config.centred_task_gradient)
