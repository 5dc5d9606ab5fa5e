"""TaskMet: the model is fitted under a metric that learns from the task."""

import math
from typing import ClassVar

from ..adam import Adam
from ..forms import Cholesky, Diagonal
from ..hypergradient import HypergradientEstimator
from ..metric import ConditionalMetric, Metric, UnconditionalMetric
from ..mlp import MLP
from ..trilevel import ModelBasedUpdate, TaskMetUpdate
from .base import ModelBasedAlgorithm
from .config import AgentConfig, TaskMetConfig

FORMS: dict[str, type[Diagonal] | type[Cholesky]] = {"diagonal": Diagonal, "full": Cholesky}


class TaskMet(ModelBasedAlgorithm):
    """Model-based learning of a soft value with task-driven metric learning (arXiv 2312.05250)."""

    config_class: ClassVar[type[AgentConfig]] = TaskMetConfig
    config: TaskMetConfig
    hypergradient: HypergradientEstimator
    metric_warmup: int

    def _make_update(self) -> ModelBasedUpdate:
        config = self.config
        return TaskMetUpdate(
            **self._levels(),
            centred=config.centred_task_gradient,
            relevance=config.relevance,
            hypergradient=config.hypergradient,
            critic_solver=config.critic_solver,
            fitted_critic=config.fitted_critic,
            metric_optimizer=Adam(config.metric_learning_rate),
        )

    def _make_metric(self) -> Metric:
        config = self.config
        form = FORMS[config.metric](
            self.num_dimensions, config.normalize_metric, config.largest_weight or math.inf
        )
        if config.metric_hidden is None:
            return UnconditionalMetric(form)
        inputs = self.num_dimensions + self.replay_buffer.encoding.size
        return ConditionalMetric(
            form, MLP((inputs, *config.metric_hidden, form.identity().numel()))
        )

    def _task_takes_part(self) -> bool:
        return self._n_updates >= self.metric_warmup
