"""TaskMet on a problem: the mean squared error under a metric that the decisions teach."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from mbrl_taskmet.decision.bilevel import BilevelTrainer, Task, TaskMetFit
from mbrl_taskmet.decision.fitting import (
    AdamFit,
    InnerFit,
    check_levels,
)
from mbrl_taskmet.decision.forms import Scalar
from mbrl_taskmet.decision.problem import Data, Problem, check_data, loss_of
from mbrl_taskmet.decision.rows import PerItem, Scope
from mbrl_taskmet.forms import Cholesky, Diagonal, Form
from mbrl_taskmet.hypergradient import (
    Hypergradient,
    HypergradientEstimator,
    ImplicitGradient,
    PredictionProblem,
)
from mbrl_taskmet.metric import ConditionalMetric, Metric, UnconditionalMetric
from mbrl_taskmet.mlp import MLP
from mbrl_taskmet.networks import Network
from mbrl_taskmet.suggestion import check_choice

FORMS: Mapping[str, Callable[[int, bool], Form]] = {
    "scalar": lambda dimensions, normalize: Scalar(dimensions),
    "diagonal": Diagonal,
    "full": Cholesky,
}
"""What makes a form, of so many dimensions and rescaled or not, by its name."""


@dataclass(frozen=True)
class NoHypergradient:
    """Nothing for the metric, which stays the identity.

    What is left of TaskMet are least squares in the same steps, chosen by the same decisions: what
    the metric adds is what TaskMet has over it.
    """

    def __call__(
        self,
        problem: PredictionProblem,
        parameters: Tensor,
        metric_parameters: Tensor,
        gradient: Tensor,
    ) -> Hypergradient:
        """Zero, without a solve."""
        return Hypergradient(torch.zeros_like(metric_parameters), gradient.new_zeros(()))


@dataclass(frozen=True, kw_only=True)
class TaskMet:
    """TaskMet (arXiv 2312.05250): `BilevelTrainer` with a problem's decisions as the task.

    Attributes:
        form: of Λ: one weight for all dimensions of a row, one for each, or a full matrix.
        scope: whether a row holds the targets of one item or those of all items.
        hidden: layers of the perceptron that conditions Λ on the row's features; None for one Λ
            for all rows, rescaled to the norm of the identity.
        inner: fits the predictor under the metric.
        hypergradient: carries the task's gradient over to the metric.
        learning_rate: Adam's step size for the metric.
        first_steps: fits under the identity before the first that the metric learns from.
        steps: of the metric, at most.
        patience: steps without a better validation loss before it ends.
        chosen_by: what the decisions on the validation data are worth, relaxed as in training or
            as they will be taken. By the latter, of all metrics that decide equally well the
            first is chosen, nearest to least squares; few data are better told apart by the former.
    """

    form: Literal["scalar", "diagonal", "full"] = "diagonal"
    scope: Scope = field(default_factory=PerItem)
    hidden: tuple[int, ...] | None = (200,)
    inner: InnerFit = field(default_factory=AdamFit)
    hypergradient: HypergradientEstimator = field(default_factory=ImplicitGradient)
    learning_rate: float = 1e-2
    first_steps: int = 1
    steps: int = 200
    patience: int = 200
    chosen_by: Literal["relaxed", "taken"] = "relaxed"

    def __post_init__(self) -> None:
        if self.chosen_by not in ("relaxed", "taken"):
            raise ValueError(
                f"Parameters are chosen by decisions 'relaxed' or 'taken'; got {self.chosen_by!r}."
            )
        check_levels(self.steps, self.learning_rate, self.patience, self.first_steps)
        check_choice("form of a metric", self.form, FORMS)

    def metric(self, row_inputs: int, row_targets: int) -> Metric:
        """Λ_φ for rows of so many inputs and targets."""
        # A metric that weighs rows against each other must not be rescaled row by row.
        normalize = self.hidden is None
        form = FORMS[self.form](row_targets, normalize)
        if self.hidden is None:
            return UnconditionalMetric(form)
        return ConditionalMetric(form, MLP((row_inputs, *self.hidden, len(form.identity()))))

    def fit(
        self,
        problem: Problem,
        network: Network,
        train: Data,
        validation: Data,
        generator: torch.Generator,
    ) -> TaskMetFit:
        """Train predictor and metric; validation chooses by the task loss."""
        check_data(train)
        check_data(validation)
        inputs, targets = self.scope.rows(train.features), self.scope.rows(train.targets)
        trainer = BilevelTrainer(
            network=self.scope.network(network, train.features.shape[1]),
            metric=self.metric(inputs.shape[-1], targets.shape[-1]),
            inner=self.inner,
            hypergradient=self.hypergradient,
            learning_rate=self.learning_rate,
            first_steps=self.first_steps,
            steps=self.steps,
            patience=self.patience,
        )
        return trainer.train(
            inputs,
            targets,
            self._task(problem, train, relaxed=True),
            self._task(problem, validation, relaxed=self.chosen_by == "relaxed"),
            generator=generator,
        )

    def _task(self, problem: Problem, data: Data, *, relaxed: bool) -> Task:
        task_loss = loss_of(problem, relaxed=relaxed)
        return Task(
            self.scope.rows(data.features),
            lambda y_hat: task_loss(y_hat.view_as(data.targets), data),
        )
