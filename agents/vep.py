"""Value equivalence: the model is fitted to the values of states, not to states."""

from dataclasses import dataclass
from typing import ClassVar

from ..batch import Batch
from ..train_state import Info, TrainState
from ..trilevel import ModelBasedUpdate
from .base import ModelBasedAlgorithm
from .config import AgentConfig, VEPConfig


@dataclass(frozen=True, kw_only=True)
class VEPUpdate(ModelBasedUpdate):
    """Value-equivalent model learning (Grimm et al. 2020, arXiv 2011.03506)."""

    def fit_model(self, state: TrainState, batch: Batch) -> tuple[TrainState, Info]:
        """θ ← Adam on mean_B[m (V̄(ŝ′) − V̄(s′))²] + mean_B[(r̂ − r)²].

        The value set of the value-equivalence principle is the target critic's soft value, the
        only function of the next state that the Bellman operator applies.
        """
        model = self.model.linearize(state.model, batch.model_inputs)
        predicted, actual = (
            self.next_values(state, batch, observations)
            for observations in (model.next_observations, batch.next_observations)
        )
        value_errors = (1 - batch.terminations) * (predicted.outputs - actual.outputs)
        reward_errors = model.rewards - batch.rewards
        scale = 2 / batch.rewards.shape[0]
        gradient = model.vjp(
            self.see(state, predicted.input_vjp(scale * value_errors)), scale * reward_errors
        )
        errors = model.next_observations - batch.next_observations
        info = {
            "model_loss": value_errors.square().mean() + reward_errors.square().mean(),
            "model_mse": errors.square().mean(),
        }
        return self.step_model(state, gradient), info


class VEP(ModelBasedAlgorithm):
    """Model-based learning of a soft value with a value-equivalent model."""

    config_class: ClassVar[type[AgentConfig]] = VEPConfig

    def _make_update(self) -> ModelBasedUpdate:
        return VEPUpdate(**self._levels())
