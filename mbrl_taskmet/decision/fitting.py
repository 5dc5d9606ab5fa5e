"""How a network is trained: by descent on any loss of its predictions, or under a metric."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from mbrl_taskmet.adam import Adam, AdamState, adam_init
from mbrl_taskmet.arguments import is_count, is_real, is_whole
from mbrl_taskmet.decision.problem import check_smooth
from mbrl_taskmet.hypergradient import Curvature, GaussNewton, PredictionProblem
from mbrl_taskmet.linear_solvers import Exact, LinearSolver
from mbrl_taskmet.networks import Network, Rows

Loss = Callable[[Tensor], Tensor]
"""Of predictions, a scalar."""

Log = list[Mapping[str, float]]
"""What was measured in the course of training, a row at a time."""


class Fit(NamedTuple):
    """A trained network.

    Attributes:
        parameters: θ.
        log: how it came about.
    """

    parameters: Tensor
    log: Log


class Fitted(Protocol):
    """A trained network, with whatever else there is to tell."""

    @property
    def parameters(self) -> Tensor:
        """The network's θ."""

    @property
    def log(self) -> Log:
        """How it came about."""


class Progress(NamedTuple):
    """Where the training of θ stands, for the next fit to go on from.

    Attributes:
        parameters: θ.
        moments: Adam's, of θ.
    """

    parameters: Tensor
    moments: AdamState

    @classmethod
    def start(cls, parameters: Tensor) -> "Progress":
        """Adam at rest."""
        return cls(parameters, adam_init(parameters))


class InnerFit(Protocol):
    """θ ≈ θ*(φ) = argmin_θ L(θ, φ), from where the last fit ended."""

    def __call__(
        self, problem: PredictionProblem, metric_parameters: Tensor, progress: Progress
    ) -> Progress:
        """Fit under the metric's present parameters."""


@dataclass(frozen=True)
class AdamFit:
    """A few steps of Adam on all rows, warm-started.

    Attributes:
        steps: of a fit.
        learning_rate: Adam's step size.
    """

    steps: int = 10
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        check_counts(steps=self.steps)
        check_positive(learning_rate=self.learning_rate)

    def __call__(
        self, problem: PredictionProblem, metric_parameters: Tensor, progress: Progress
    ) -> Progress:
        """θ ← Adam on L(θ, φ)."""
        adam, (theta, moments) = Adam(self.learning_rate), progress
        weigh = problem.metric.at(metric_parameters, problem.inputs)
        for _ in range(self.steps):
            gradient = prediction_gradient(problem, theta, weigh)
            theta, moments = adam.step(theta, gradient, moments)
        return Progress(theta, moments)


@dataclass(frozen=True)
class ClosedForm:
    """θ*(φ) = θ − H⁻¹ ∂_θL: one Newton step, exact for a model that is linear in θ.

    Attributes:
        solver: of the normal equations.
        curvature: H, which for such a model is the Gauss-Newton matrix.
    """

    solver: LinearSolver = field(default_factory=Exact)
    curvature: Curvature = field(default_factory=GaussNewton)

    def __call__(
        self, problem: PredictionProblem, metric_parameters: Tensor, progress: Progress
    ) -> Progress:
        """Solve the normal equations.

        Raises:
            ValueError: if the model is not linear in θ, or the solution is not finite.
        """
        theta, phi = progress.parameters, metric_parameters
        weigh = problem.metric.at(phi, problem.inputs)
        model = problem.network.linearize(theta, problem.inputs)
        weighted = weigh(model.outputs - problem.targets)
        gradient = prediction_gradient(problem, theta, weigh)
        step, _ = self.solver(self.curvature(problem, phi, model, weighted), gradient)
        found = theta - step
        predicted = model.outputs - model.jvp(step)
        scale = predicted.abs().max()
        if not (problem.network(found, problem.inputs) - predicted).abs().max() <= 1e-2 * scale:
            raise ValueError(
                "The closed form is for models that are linear in their parameters, with fewer "
                "parameters than data: use AdamFit instead."
            )
        return Progress(found, progress.moments)


@dataclass(frozen=True)
class Descent:
    """Adam on any loss of the predictions, of which the best on the validation data is kept.

    Attributes:
        learning_rate: Adam's step size.
        steps: at most.
        check_every: steps between two looks at the validation loss.
        patience: looks without a better validation loss before it ends.
    """

    learning_rate: float = 1e-3
    steps: int = 2_000
    check_every: int = 5
    patience: int = 40

    def __post_init__(self) -> None:
        check_positive(learning_rate=self.learning_rate)
        check_counts(steps=self.steps, check_every=self.check_every)
        check_patience(self.patience)

    def __call__(
        self,
        network: Network,
        inputs: Tensor,
        loss: Loss,
        validate: Callable[[Tensor], float],
        start: Tensor,
    ) -> Fit:
        """Descend from θ = start.

        Args:
            network: f.
            inputs: x, shape (B, inputs).
            loss: of f(θ, x).
            validate: of θ, the loss to choose by.
            start: θ.
        """
        adam, (theta, moments) = Adam(self.learning_rate), Progress.start(start)
        best = Best(self.patience)
        for step in range(self.steps + 1):
            value, gradient = loss_gradient(network, theta, inputs, loss)
            if step % self.check_every == 0:
                row = {"step": step, "loss": value.item(), "validation_loss": validate(theta)}
                if not best.goes_on(theta, row["validation_loss"], row):
                    break
            theta, moments = adam.step(theta, gradient, moments)
        return Fit(best.parameters, best.log)


class Best:
    """Keeps the parameters with the lowest validation loss, and says when to give up.

    Args:
        patience: looks without a better one before giving up.
    """

    def __init__(self, patience: int) -> None:
        self.log: Log = []
        self.parameters: Tensor
        self._patience = patience
        self._lowest = float("inf")
        self._since = 0

    def goes_on(self, parameters: Tensor, validation_loss: float, row: Mapping[str, float]) -> bool:
        """Look at parameters, and whether to go on after them.

        Raises:
            FloatingPointError: if the validation loss is not finite.
        """
        if not validation_loss < float("inf"):
            raise FloatingPointError(
                f"The validation loss is {validation_loss} in row {len(self.log)} of the log: "
                "lower the learning rate."
            )
        self.log.append(row)
        self._since += 1
        if validation_loss < self._lowest:
            self._lowest, self._since, self.parameters = validation_loss, 0, parameters
        return self._since < self._patience


def prediction_gradient(problem: PredictionProblem, parameters: Tensor, weigh: Rows) -> Tensor:
    """∂_θL = mean_B[2 Jᵀ Λ_φ (f − y)], shape (P,), with the metric at its inputs: x ↦ Λ_φ x."""
    model = problem.network.linearize(parameters, problem.inputs)
    errors = model.outputs - problem.targets
    return model.vjp(2 / len(errors) * weigh(errors))


def loss_gradient(
    network: Network, parameters: Tensor, inputs: Tensor, loss: Loss
) -> tuple[Tensor, Tensor]:
    """L(f(θ, x)) and its gradient Jᵀ ∂L/∂f: autograd through the loss alone.

    Raises:
        ValueError: if the loss is no scalar, or does not depend smoothly on the predictions.
    """
    model = network.linearize(parameters, inputs)
    outputs = model.outputs.detach().requires_grad_()
    with torch.enable_grad():
        value = loss(outputs)
        if value.dim() != 0:
            raise ValueError(
                f"The loss of predictions must be a scalar, such as their mean; got shape "
                f"{tuple(value.shape)}."
            )
        check_smooth(value)
        (cotangent,) = torch.autograd.grad(value, outputs)
    return value.detach(), model.vjp(cotangent)


def check_patience(patience: int) -> None:
    """Refuse to give up before the first look.

    Raises:
        ValueError: if there is no look.
    """
    if not is_count(patience):
        raise ValueError(
            "The patience must be a whole number from 1 up, or as many as the steps never to give "
            f"up; got {patience!r}."
        )


def check_levels(steps: int, learning_rate: float, patience: int, first_steps: int) -> None:
    """Refuse a training of a metric, each step of which is a fit, that goes nowhere.

    Args:
        steps: of the metric, at most.
        learning_rate: of the metric.
        patience: steps without a better validation loss before it ends.
        first_steps: fits before the metric learns.

    Raises:
        ValueError: naming what is out of range.
    """
    check_counts(steps=steps)
    check_positive(learning_rate=learning_rate)
    check_patience(patience)
    if not is_whole(first_steps) or first_steps < 0:
        raise ValueError(
            "first_steps, the fits before the metric learns, must be a whole number from 0 up; got "
            f"{first_steps!r}."
        )


def check_positive(**values: float) -> None:
    """Refuse a training that goes nowhere.

    Args:
        **values: what it takes, by name.

    Raises:
        ValueError: naming one that is not positive.
    """
    for name, value in values.items():
        if not is_real(value) or not value > 0:
            raise ValueError(f"{name} must be positive; got {value!r}.")


def check_counts(**values: int) -> None:
    """Refuse a training without steps, or with parts of one.

    Args:
        **values: how many of what it takes, by name.

    Raises:
        ValueError: naming one that is not a positive whole number.
    """
    for name, value in values.items():
        if not is_count(value):
            raise ValueError(f"{name} must be a positive whole number; got {value!r}.")
