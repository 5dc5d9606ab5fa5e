"""Reading what was learned of each dimension: from tensors in the agent's units to arrays."""

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize
from torch import Tensor

from ..batch import Batch
from ..metric import MATRICES_AT_A_TIME
from .checked import CheckedAlgorithm
from .learner import Learner
from .metric_weights import LEVELS, FloatArray, MetricWeights
from .replay import TransitionBuffer

MOST_MATRICES = 256
"""Of the transitions over which a conditional metric's matrix is averaged."""


class ReadableAlgorithm(CheckedAlgorithm):
    """An algorithm that tells what it has learned of each dimension."""

    learner: Learner
    replay_buffer: TransitionBuffer
    normalized_outside = False
    """Whether `VecNormalize` normalised what it learned from; a saved agent leaves that behind."""

    @property
    def lacks_experience(self) -> bool:
        """Whether it has learned from experience that it no longer has, as a loaded agent."""
        return self._n_updates > 0 and self.replay_buffer.size() == 0

    @property
    def num_dimensions(self) -> int:
        """n, of the observation."""
        assert isinstance(self.observation_space, spaces.Box)
        return int(self.observation_space.shape[0])

    def metric_weights(self) -> MetricWeights:
        """The learned weight of each dimension's prediction error, with names and ranks.

        Raises:
            ValueError: if the weights depend on experience, and a loaded agent has none, or not
                the `VecNormalize` under which it learned.
        """
        found = self._read(self.replay_buffer.zeros())
        if found.quantiles is None:  # the same at every transition
            return found
        if self.replay_buffer.size() > 0:
            return self._read(self._experience())
        if self.lacks_experience:
            raise ValueError(
                f"The weights of this {type(self).__name__} depend on experience: give it "
                "its own with load_replay_buffer first."
            )
        return MetricWeights(self.dimension_names, np.ones(self.num_dimensions))

    def _read(self, batch: Batch) -> MetricWeights:
        return read_metric(self.dimension_names, self.learner, batch, self._external_scale())

    def _external_scale(self) -> FloatArray | None:
        """By what `VecNormalize` multiplies observations, shape (n,) or (); None if unknown."""
        normalizer = self._normalizer
        if normalizer is None:
            return None if self.normalized_outside else np.ones(())
        assert isinstance(normalizer.obs_rms, RunningMeanStd)
        scale: FloatArray = 1 / np.sqrt(normalizer.obs_rms.var + normalizer.epsilon)
        return scale

    def _mean_weights(self) -> FloatArray:
        """The weights alone, shape (n,), for the log of an agent that learns."""
        with torch.no_grad():
            weights = self.learner.update.weights(self.learner.state, self._experience())
        return _mean(weights)

    def prediction_errors(self) -> np.ndarray:
        """Mean squared error of the model's next observation in each dimension, shape (n,).

        Over transitions from the replay buffer, in units of each dimension's variance if the agent
        normalises observations.

        Raises:
            ValueError: if there is no experience, as in a loaded agent without its own, or not the
                `VecNormalize` under which it was made.
        """
        if self.replay_buffer.size() == 0:
            raise ValueError(
                f"This {type(self).__name__} has no experience to predict: let it learn, or give "
                "it its own with load_replay_buffer first."
            )
        model, parameters = self.learner.update.model, self.learner.state.model
        with torch.no_grad():
            errors = model.prediction_errors(parameters, self._experience())
        return errors.cpu().double().numpy()

    def _experience(self) -> Batch:
        """Some transitions as the networks read them; looking at them does not change the run."""
        if self.normalized_outside and self._normalizer is None:
            raise ValueError(
                f"This {type(self).__name__} learned under VecNormalize, without which its "
                "experience cannot be read: load it with env=VecNormalize.load(...)."
            )
        (batch,) = self.replay_buffer.sample_batches(
            1_024, 1, torch.Generator().manual_seed(0), self._normalizer
        )
        return self.learner.update.look_at(self.learner.state, batch)

    @property
    def _present_normalizer(self) -> VecNormalize | None:
        """What normalises observations now; None where nothing does."""
        normalizer = self._vec_normalize_env
        return normalizer if normalizer is not None and normalizer.norm_obs else None

    @property
    def _normalizer(self) -> VecNormalize | None:
        """The same, if it did for what was learned so far, else None."""
        learned_without = self._n_updates > 0 and not self.normalized_outside
        return None if learned_without else self._present_normalizer


def read_metric(
    names: tuple[str, ...], learner: Learner, batch: Batch, external_scale: FloatArray | None
) -> MetricWeights:
    """What the metric says now.

    Args:
        names: of the dimensions.
        learner: whose metric it is.
        batch: transitions as the networks read them, over which a metric that depends on state and
            action is described.
        external_scale: by what observations were multiplied before the learner saw them; None if
            unknown.

    Returns:
        Its weights; with quantiles if they depend on the transition.
    """
    with torch.no_grad():
        weights = learner.update.weights(learner.state, batch).cpu().double()
        matrix = _mean_matrix(learner, batch)
    mean = _mean(weights)
    levels = weights.new_tensor(LEVELS)
    scale, std = _array(learner.state.normalizer.scale), learner.observed_std
    return MetricWeights(
        names,
        mean,
        per_std=None if std is None else mean * (std * scale) ** 2,
        per_unit=None if external_scale is None else mean * (scale * external_scale) ** 2,
        quantiles=_array(torch.quantile(weights, levels, 0)) if weights.dim() > 1 else None,
        matrix=None if matrix is None else _array(matrix),
    )


def _mean_matrix(learner: Learner, batch: Batch) -> Tensor | None:
    """Λ where it is more than its diagonal, averaged over transitions if it differs: (n, n)."""
    state = learner.state
    metric = learner.update.metric_at(state)
    inputs = batch.model_inputs[:MOST_MATRICES]
    total: Tensor | None = None
    for part in torch.split(inputs, MATRICES_AT_A_TIME):
        matrix = metric.matrix(state.metric, part)
        if matrix is None or matrix.dim() == 2:
            return matrix
        total = matrix.sum(0) if total is None else total + matrix.sum(0)
    assert total is not None
    return total / len(inputs)


def _mean(weights: Tensor) -> FloatArray:
    """Of weights by transition, or of one set of them: (…, n) → (n,)."""
    return _array(weights.double().reshape(-1, weights.shape[-1]).mean(0))


def _array(tensor: Tensor) -> FloatArray:
    array: FloatArray = tensor.cpu().double().numpy().astype(np.float64)
    return array
