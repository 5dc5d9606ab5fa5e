"""How the task's gradient reaches the metric through the model's training.

The model's training is θ*(φ) = argmin_θ L(θ, φ), L = mean_B[(f_θ(x) − y)ᵀ Λ_φ (f_θ(x) − y)].
Given g = dL_task/dθ, both estimators here return an estimate of dL_task/dφ = (∂θ*/∂φ)ᵀ g:
`ImplicitGradient` by the implicit function theorem, `UnrolledGradient` by differentiating
through steps of gradient descent. They know networks and metrics, and nothing of
reinforcement learning.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import higher
import torch
from torch import Tensor, nn

from mbrl_taskmet.arguments import is_count, is_real
from mbrl_taskmet.linear_solvers import ConjugateGradient, LinearSolver, MatVec
from mbrl_taskmet.metric import Metric, metric_gradient
from mbrl_taskmet.networks import Linearization, Network


class PredictionProblem(NamedTuple):
    """The inner problem: fit f_θ(x) to y under Λ_φ(x).

    Attributes:
        network: f.
        metric: Λ.
        inputs: x, shape (B, inputs).
        targets: y, shape (B, n).
    """

    network: Network
    metric: Metric
    inputs: Tensor
    targets: Tensor

    def loss(self, parameters: Tensor, metric_parameters: Tensor) -> Tensor:
        """L(θ, φ), a scalar."""
        errors = self.network(parameters, self.inputs) - self.targets
        weighted = self.metric.apply(metric_parameters, self.inputs, errors)
        return (errors * weighted).sum(-1).mean()


class Hypergradient(NamedTuple):
    """An estimate of the task's gradient in the metric.

    Attributes:
        gradient: dL_task/dφ, φ's shape.
        relative_residual: of the linear solve behind it, a scalar; zero where there is none.
    """

    gradient: Tensor
    relative_residual: Tensor


class HypergradientEstimator(Protocol):
    """Carries a gradient in θ over to φ."""

    def __call__(
        self,
        problem: PredictionProblem,
        parameters: Tensor,
        metric_parameters: Tensor,
        gradient: Tensor,
    ) -> Hypergradient:
        """Estimate (∂θ*/∂φ)ᵀ g at (θ, φ) for g of θ's shape (P,)."""


class Curvature(Protocol):
    """The curvature of L in θ, by its products."""

    def __call__(
        self,
        problem: PredictionProblem,
        metric_parameters: Tensor,
        model: Linearization,
        weighted_errors: Tensor,
    ) -> MatVec:
        """The product u ↦ H u at the linearised model, given Λ (f − y)."""


@dataclass(frozen=True)
class GaussNewton:
    """H u = mean_B[2 Jᵀ Λ J u]: positive semi-definite, exact where the errors vanish."""

    def __call__(
        self,
        problem: PredictionProblem,
        metric_parameters: Tensor,
        model: Linearization,
        weighted_errors: Tensor,
    ) -> MatVec:
        """The product with the Gauss-Newton matrix."""
        scale = 2 / problem.inputs.shape[-2]
        product = problem.metric.gauss_newton(metric_parameters, problem.inputs, model)
        return lambda u: scale * product(u)


@dataclass(frozen=True)
class FullHessian:
    """H = ∂²L/∂θ²: the Gauss-Newton matrix and the network's own curvature; indefinite."""

    def __call__(
        self,
        problem: PredictionProblem,
        metric_parameters: Tensor,
        model: Linearization,
        weighted_errors: Tensor,
    ) -> MatVec:
        """The product with the Hessian."""
        gauss_newton = GaussNewton()(problem, metric_parameters, model, weighted_errors)
        cotangent = (2 / problem.inputs.shape[-2]) * weighted_errors
        return lambda u: gauss_newton(u) + model.curvature_vjp(u, cotangent)


@dataclass(frozen=True)
class ImplicitGradient:
    """dL_task/dφ = −∂_φ⟨∂_θL, u⟩ with (H + damping) u = g, where ∂_θL(θ*, φ) = 0.

    ∂_φ⟨∂_θL, u⟩ needs no second derivative: it is mean_B[2 ∂_φ((f − y)ᵀ Λ_φ (J u))], one
    forward-mode product and the metric's own gradient.

    Attributes:
        solver: of the linear system.
        curvature: H.
        damping: added to H's diagonal; not negative.
    """

    solver: LinearSolver = field(default_factory=ConjugateGradient)
    curvature: Curvature = field(default_factory=GaussNewton)
    damping: float = 1e-3

    def __post_init__(self) -> None:
        for name, part in {"solver": self.solver, "curvature": self.curvature}.items():
            if isinstance(part, type):  # of which the update would only make an object
                raise ValueError(f"{part.__name__} is a class: pass an object, {part.__name__}().")
            if not callable(part):
                raise ValueError(f"The {name} must be an object such as the default; got {part!r}.")
        if not is_real(self.damping) or not 0 <= self.damping < math.inf:
            raise ValueError(f"The damping must be finite and not negative; got {self.damping!r}.")

    def __call__(
        self,
        problem: PredictionProblem,
        parameters: Tensor,
        metric_parameters: Tensor,
        gradient: Tensor,
    ) -> Hypergradient:
        """Solve for u and differentiate the optimality condition in φ."""
        inputs, metric = problem.inputs, problem.metric
        model = problem.network.linearize(parameters, inputs)
        errors = model.outputs - problem.targets
        weighted_errors = metric.apply(metric_parameters, inputs, errors)
        product = self.curvature(problem, metric_parameters, model, weighted_errors)
        u, residual = self.solver(lambda v: product(v) + self.damping * v, gradient)
        mixed = metric_gradient(metric, metric_parameters, inputs, errors, model.jvp(u))
        return Hypergradient(-2 / inputs.shape[-2] * mixed, residual)


@dataclass(frozen=True)
class UnrolledGradient:
    """(∂θ_K/∂φ)ᵀ g through K steps of gradient descent on L from θ_0 = θ, unrolled by `higher`.

    That is dL_task/dφ as far as g, which is taken at θ, holds at θ_K: for few, small steps. The
    inner optimiser is plain gradient descent, since a fresh step of Adam does not feel the scale
    of its gradient and would pass on almost nothing of the metric. Builds an autograd graph:
    neither compiles nor maps over a population.

    Attributes:
        steps: K.
        learning_rate: of the inner descent.
    """

    steps: int = 1
    learning_rate: float = 1e-2

    def __post_init__(self) -> None:
        if not is_count(self.steps):
            raise ValueError(
                f"The steps to unroll must be a positive whole number; got {self.steps!r}."
            )
        if not is_real(self.learning_rate) or not 0 < self.learning_rate < math.inf:
            raise ValueError(
                f"The learning rate must be finite and positive; got {self.learning_rate!r}."
            )

    def __call__(
        self,
        problem: PredictionProblem,
        parameters: Tensor,
        metric_parameters: Tensor,
        gradient: Tensor,
    ) -> Hypergradient:
        """Descend on L, then pull g back to φ."""
        phi = metric_parameters.detach().requires_grad_()
        module = _ParametersOnly(parameters)
        optimizer = torch.optim.SGD(module.parameters(), self.learning_rate)
        with (
            torch.enable_grad(),
            higher.innerloop_ctx(module, optimizer) as (functional, differentiable),
        ):
            for _ in range(self.steps):
                differentiable.step(problem.loss(functional(), phi))
            (hypergradient,) = torch.autograd.grad(functional(), phi, gradient)
        return Hypergradient(hypergradient, hypergradient.new_zeros(()))


class _ParametersOnly(nn.Module):
    """A module that is its parameter vector, in the form that `higher` follows."""

    def __init__(self, parameters: Tensor) -> None:
        super().__init__()
        self.vector = nn.Parameter(parameters.detach().clone())

    def forward(self) -> Tensor:
        return self.vector
