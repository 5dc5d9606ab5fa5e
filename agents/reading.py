"""Reading a learner's metric: from tensors in the agent's units to `MetricWeights`."""

import numpy as np
import torch
from torch import Tensor

from ..batch import Batch
from ..dynamics import model_inputs
from .learner import Learner
from .metric_weights import LEVELS, FloatArray, MetricWeights

MATRICES_AT_A_TIME, MOST_MATRICES = 32, 256
"""Of the transitions over which a conditional metric's matrix is averaged."""


def read_metric(names: tuple[str, ...], learner: Learner, batch: Batch) -> MetricWeights:
    """What the metric says now.

    Args:
        names: of the dimensions.
        learner: whose metric it is.
        batch: transitions as the networks read them, over which a metric that depends on state and
            action is described.

    Returns:
        Its weights; with quantiles if they depend on the transition.
    """
    with torch.no_grad():
        weights = learner.update.weights(learner.state, batch).cpu().double()
        matrix = _mean_matrix(learner, batch)
    mean = _array(weights.reshape(-1, len(names)).mean(0))
    levels = weights.new_tensor(LEVELS)
    scale, std = _array(learner.state.normalizer.scale), learner.observed_std
    return MetricWeights(
        names,
        mean,
        per_std=None if std is None else mean * (std * scale) ** 2,
        per_unit=mean * scale**2,
        quantiles=_array(torch.quantile(weights, levels, 0)) if weights.dim() > 1 else None,
        matrix=None if matrix is None else _array(matrix),
    )


def _mean_matrix(learner: Learner, batch: Batch) -> Tensor | None:
    """Λ where it is more than its diagonal, averaged over transitions if it differs: (n, n)."""
    state = learner.state
    metric = learner.update.metric_at(state)
    inputs = model_inputs(batch.observations, batch.actions)[:MOST_MATRICES]
    total: Tensor | None = None
    for part in torch.split(inputs, MATRICES_AT_A_TIME):  # a matrix for each takes memory
        matrix = metric.matrix(state.metric, part)
        if matrix is None or matrix.dim() == 2:
            return matrix
        total = matrix.sum(0) if total is None else total + matrix.sum(0)
    assert total is not None
    return total / len(inputs)


def _array(tensor: Tensor) -> FloatArray:
    array: FloatArray = tensor.cpu().double().numpy().astype(np.float64)
    return array
