"""TaskMet on a problem: the mean squared error under a metric that the decisions teach."""

from dataclasses import dataclass, field
from typing import Literal

import torch

from mbrl_taskmet.decision.bilevel import BilevelTrainer, Task
from mbrl_taskmet.decision.fitting import AdamFit, Fit, InnerFit
from mbrl_taskmet.decision.forms import Scalar
from mbrl_taskmet.decision.problem import Data, Problem, check_data, loss_of
from mbrl_taskmet.decision.rows import PerItem, Scope
from mbrl_taskmet.forms import Cholesky, Diagonal, Form
from mbrl_taskmet.hypergradient import HypergradientEstimator, ImplicitGradient
from mbrl_taskmet.metric import ConditionalMetric, Metric, UnconditionalMetric
from mbrl_taskmet.mlp import MLP
from mbrl_taskmet.networks import Network


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
        first_steps: fits under the identity before the metric learns.
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

    def metric(self, row_inputs: int, row_targets: int) -> Metric:
        """Λ_φ for rows of so many inputs and targets.

        Raises:
            ValueError: if there is no such form.
        """
        # A metric that weighs rows against each other must not be rescaled row by row.
        normalize = self.hidden is None
        forms: dict[str, Form] = {
            "scalar": Scalar(row_targets),
            "diagonal": Diagonal(row_targets, normalize),
            "full": Cholesky(row_targets, normalize),
        }
        if self.form not in forms:
            raise ValueError(
                f"The form of a metric is one of {', '.join(forms)}; got {self.form!r}."
            )
        form = forms[self.form]
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
    ) -> Fit:
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
        found = trainer.train(
            inputs,
            targets,
            self._task(problem, train, relaxed=True),
            self._task(problem, validation, relaxed=self.chosen_by == "relaxed"),
            generator=generator,
        )
        return Fit(found.parameters, found.log)

    def _task(self, problem: Problem, data: Data, *, relaxed: bool) -> Task:
        task_loss = loss_of(problem, relaxed=relaxed)
        return Task(
            self.scope.rows(data.features),
            lambda y_hat: task_loss(y_hat.view_as(data.targets), data),
        )
