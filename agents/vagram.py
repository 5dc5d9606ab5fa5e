"""Value-gradient weighting: the model is fitted where the value is sensitive."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..batch import Batch
from ..train_state import TrainState
from ..trilevel import ModelBasedUpdate
from .base import ModelBasedAlgorithm
from .config import AgentConfig, VaGraMConfig


@dataclass(frozen=True, kw_only=True)
class VaGraMUpdate(ModelBasedUpdate):
    """Value-gradient weighted model learning (Voelcker et al. 2022, arXiv 2204.01464)."""

    def weigh(self, state: TrainState, batch: Batch, errors: Tensor) -> Tensor:
        """w_i (ŝ′_i − s′_i): the paper's axis-aligned loss, its equation 7."""
        return self.weights(state, batch) * errors

    def weights(self, state: TrainState, batch: Batch) -> Tensor:
        """w_i ∝ m (∂V̄/∂s′_i)² of each transition, shape (B, n).

        Of the value that the targets use, where the authors' code averages the squared gradients
        of both critics; where the episode terminated no value of s′ is asked for. Rescaled to a
        mean of one over the batch, so that the model's rate does not depend on the scale of the
        value.
        """
        value = self.next_values(state, batch, batch.next_observations)
        gradient = self.see(state, value.input_vjp(1 - batch.terminations))
        sensitivity = gradient.square()
        return sensitivity / sensitivity.mean().clamp_min(torch.finfo(sensitivity.dtype).tiny)


class VaGraM(ModelBasedAlgorithm):
    """Model-based learning of a soft value whose model is fitted where the value is sensitive."""

    config_class: ClassVar[type[AgentConfig]] = VaGraMConfig

    def _make_update(self) -> ModelBasedUpdate:
        return VaGraMUpdate(**self._levels())
