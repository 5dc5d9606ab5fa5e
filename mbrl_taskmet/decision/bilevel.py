"""TaskMet for any predictor and any task loss: min_φ L_task(θ*(φ))."""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from mbrl_taskmet.adam import Adam, adam_init
from mbrl_taskmet.decision.fitting import (
    AdamFit,
    Best,
    InnerFit,
    Log,
    Loss,
    Progress,
    check_levels,
    loss_gradient,
    prediction_gradient,
)
from mbrl_taskmet.decision.problem import check_finite
from mbrl_taskmet.hypergradient import (
    HypergradientEstimator,
    ImplicitGradient,
    PredictionProblem,
)
from mbrl_taskmet.metric import Metric
from mbrl_taskmet.networks import Network


class Task(NamedTuple):
    """What predictions are for.

    Attributes:
        inputs: x to be predicted at, shape (B, inputs); those of training, or others.
        loss: of the predictions there, (B, n) → a scalar, differentiable.
    """

    inputs: Tensor
    loss: Loss


class TaskMetFit(NamedTuple):
    """A network trained under a learned metric.

    Attributes:
        parameters: θ, at the lowest validation loss.
        start: θ under the identity, before the metric learned: the least squares fit.
        metric_parameters: φ under which that θ was fitted.
        log: a row for each step of the metric: `task_loss`, `prediction_loss`, the norm of the
            `hypergradient`, the relative `solver_residual` of the solve behind it, and how far the
            inner fit is from its optimum, `inner_gradient` ‖∂_θL‖.
    """

    parameters: Tensor
    start: Tensor
    metric_parameters: Tensor
    log: Log


@dataclass(frozen=True, kw_only=True)
class BilevelTrainer:
    """Fit under the metric, then step the metric along the hypergradient; again and again.

    θ*(φ) = argmin_θ mean_B[(f_θ(x) − y)ᵀ Λ_φ(x) (f_θ(x) − y)] and φ ← Adam(dL_task(θ*(φ))/dφ)
    (TaskMet, arXiv 2312.05250, algorithm 1). The task loss reaches θ only through the metric, so
    that the model stays one of the data.

    Attributes:
        network: f, `MLP`, or `ModuleNetwork` around any module.
        metric: Λ; at its initial φ the identity.
        inner: fits θ under the metric.
        hypergradient: carries the task's gradient in θ over to φ.
        learning_rate: Adam's step size for φ.
        first_steps: fits under the identity before the first that the metric learns from.
        steps: of the metric, at most.
        patience: steps without a better validation loss before it ends.
    """

    network: Network
    metric: Metric
    inner: InnerFit = field(default_factory=AdamFit)
    hypergradient: HypergradientEstimator = field(default_factory=ImplicitGradient)
    learning_rate: float = 1e-2
    first_steps: int = 1
    steps: int = 200
    patience: int = 200

    def __post_init__(self) -> None:
        check_levels(self.steps, self.learning_rate, self.patience, self.first_steps)

    def train(
        self,
        inputs: Tensor,
        targets: Tensor,
        task: Task,
        validation: Task | None = None,
        *,
        generator: torch.Generator,
    ) -> TaskMetFit:
        """Train both levels.

        Args:
            inputs: x to fit at, shape (B, inputs).
            targets: y there, shape (B, n).
            task: whose loss the metric lowers.
            validation: whose loss chooses the θ that is kept; `task` if not given.
            generator: of the initial θ and φ.

        Raises:
            ValueError: if inputs and targets do not belong together or are not finite, or the loss
                is no scalar.
            FloatingPointError: if a loss is not finite.
        """
        if inputs.dim() != 2 or targets.dim() != 2 or len(inputs) != len(targets):
            raise ValueError(
                "Inputs and targets must be matrices with a row for each example; got shapes "
                f"{tuple(inputs.shape)} and {tuple(targets.shape)}."
            )
        check_finite(inputs=inputs, targets=targets)
        validation = validation or task
        problem = PredictionProblem(self.network, self.metric, inputs, targets)
        phi = self.metric.init(generator, inputs.dtype)
        adam, moments = Adam(self.learning_rate), adam_init(phi)
        progress = Progress.start(self.network.init(generator, inputs.dtype))
        for _ in range(self.first_steps):
            progress = self.inner(problem, phi, progress)
        start = progress.parameters
        best, fitted_under = Best(self.patience), phi
        for step in range(self.steps):
            progress = self.inner(problem, phi, progress)
            gradient, row = self._hypergradient(problem, progress.parameters, phi, task)
            with torch.no_grad():
                predictions = self.network(progress.parameters, validation.inputs)
                row |= {"step": step, "validation_loss": validation.loss(predictions).item()}
            goes_on = best.goes_on(progress.parameters, row["validation_loss"], row)
            if best.parameters is progress.parameters:
                fitted_under = phi
            if not goes_on:
                break
            phi, moments = adam.step(phi, gradient, moments)
            phi = self.metric.clamp(phi)
        return TaskMetFit(best.parameters, start, fitted_under, best.log)

    def _hypergradient(
        self, problem: PredictionProblem, theta: Tensor, phi: Tensor, task: Task
    ) -> tuple[Tensor, dict[str, float]]:
        """dL_task(θ*(φ))/dφ, and what to log of it."""
        task_loss, gradient = loss_gradient(self.network, theta, task.inputs, task.loss)
        estimate = self.hypergradient(problem, theta, phi, gradient)
        inner = prediction_gradient(problem, theta, self.metric.at(phi, problem.inputs))
        return estimate.gradient, {
            "task_loss": task_loss.item(),
            "prediction_loss": problem.loss(theta, phi).item(),
            "hypergradient": estimate.gradient.norm().item(),
            "solver_residual": estimate.relative_residual.item(),
            "inner_gradient": inner.norm().item(),
        }
