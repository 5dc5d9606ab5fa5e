"""TaskMet written the usual way, to compare with: modules, optimisers, and autograd twice.

Nothing here is shared with the package. `AutogradReference` is the paper's estimator (full Hessian
by double backward passes, conjugate gradient on the normal equations), solved over the whole model;
`LeanReference` knows that the reward network may stay out of the solve; `HigherReference` unrolls
one step of each inner level with `higher`.
"""

from collections.abc import Sequence
from typing import Any

import higher
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ..batch import Batch

GAMMA, TEMPERATURE, TAU, CG_ITERATIONS = 0.99, 0.01, 0.01, 10


class Model(nn.Module):
    """ŝ′ and r̂ from (s, a)."""

    def __init__(self, num_dimensions: int, num_actions: int) -> None:
        super().__init__()
        self.dynamics = _perceptron(num_dimensions + num_actions, num_dimensions)
        self.reward = _perceptron(num_dimensions + num_actions, 1)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Predict the next observations and the rewards."""
        inputs = torch.cat([batch.observations, batch.actions], 1)
        return self.dynamics(inputs), self.reward(inputs).squeeze(1)


class Critics(nn.Module):
    """Two critics' values of every action."""

    def __init__(self, num_dimensions: int, num_actions: int) -> None:
        super().__init__()
        self.first = _perceptron(num_dimensions, num_actions)
        self.second = _perceptron(num_dimensions, num_actions)

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Q_1(s, ·) and Q_2(s, ·)."""
        return self.first(observations), self.second(observations)


class AutogradReference:
    """One update of TaskMet as published.

    Args:
        num_dimensions: n.
        num_actions: A.
    """

    def __init__(self, num_dimensions: int, num_actions: int = 2) -> None:
        self.model = Model(num_dimensions, num_actions)
        self.critics = Critics(num_dimensions, num_actions)
        self.targets = Critics(num_dimensions, num_actions)
        self.targets.load_state_dict(self.critics.state_dict())
        self.phi = nn.Parameter(torch.full((num_dimensions,), 0.5413))
        self.model_parameters = list(self.model.parameters())
        self.solved_parameters = self.model_parameters
        self.critic_parameters = list(self.critics.parameters())
        self.model_optimizer = torch.optim.Adam(self.model_parameters, 1e-3)
        self.critic_optimizer = torch.optim.Adam(self.critic_parameters, 3e-4)
        self.metric_optimizer = torch.optim.Adam([self.phi], 1e-3)

    def update(self, batch: Batch) -> None:
        """One step on each level."""
        loss = self.prediction_loss(self.model, batch)
        _step(self.model_optimizer, self.model_parameters, loss)
        targets = self.model_targets(self.model, batch).detach()
        loss = bellman_error(self.critics, batch, targets)
        _step(self.critic_optimizer, self.critic_parameters, loss)
        with torch.no_grad():
            for target, source in zip(
                self.targets.parameters(), self.critics.parameters(), strict=True
            ):
                target.lerp_(source, TAU)
        self.phi.grad = self.hypergradient(batch)
        self.metric_optimizer.step()

    def prediction_loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """L_pred(θ, φ)."""
        next_observations, rewards = model(batch)
        weights = softplus(self.phi)
        weights = weights * len(weights) ** 0.5 / weights.norm()
        errors = (weights * (next_observations - batch.next_observations).square()).sum(1)
        loss: Tensor = errors.mean() + (rewards - batch.rewards).square().mean()
        return loss

    def model_targets(self, model: nn.Module, batch: Batch) -> Tensor:
        """The Bellman targets y(θ) in the model."""
        next_observations, rewards = model(batch)
        return self.bellman_target(rewards, batch.terminations, next_observations)

    def bellman_target(self, rewards: Tensor, ends: Tensor, next_observations: Tensor) -> Tensor:
        """The targets r + γ m V̄(s′)."""
        lowest = torch.minimum(*self.targets(next_observations))
        values = TEMPERATURE * torch.logsumexp(lowest / TEMPERATURE, 1)
        return rewards + GAMMA * (1 - ends) * values

    def task_loss(self, critics: nn.Module, batch: Batch) -> Tensor:
        """L_task(ω)."""
        targets = self.bellman_target(batch.rewards, batch.terminations, batch.next_observations)
        return bellman_error(critics, batch, targets.detach())

    def hypergradient(self, batch: Batch) -> Tensor:
        """−∂_φ⟨∂_θ L_pred, H⁻¹ g_θ⟩."""
        v = torch.autograd.grad(self.task_loss(self.critics, batch), self.critic_parameters)
        error = bellman_error(self.critics, batch, self.model_targets(self.model, batch))
        critic_gradient = torch.autograd.grad(error, self.critic_parameters, create_graph=True)
        gradient = torch.autograd.grad(_dot(critic_gradient, v), self.solved_parameters)
        optimality = torch.autograd.grad(
            self.prediction_loss(self.model, batch), self.solved_parameters, create_graph=True
        )

        def hessian(u: list[Tensor]) -> list[Tensor]:
            product = torch.autograd.grad(optimality, self.solved_parameters, u, retain_graph=True)
            return list(product)

        solution = _normal_equation_cg(hessian, [-g for g in gradient])
        return -torch.autograd.grad(optimality, self.phi, solution)[0]


class LeanReference(AutogradReference):
    """The same with the dynamics alone in the solve, since φ weighs nothing else.

    Args:
        num_dimensions: n.
        num_actions: A.
    """

    def __init__(self, num_dimensions: int, num_actions: int = 2) -> None:
        super().__init__(num_dimensions, num_actions)
        self.solved_parameters = list(self.model.dynamics.parameters())


class HigherReference(AutogradReference):
    """The same with the inner levels unrolled for one step by `higher`."""

    def hypergradient(self, batch: Batch) -> Tensor:
        """dL_task/dφ through one step of gradient descent on the model and one on the critic."""
        model_descent = torch.optim.SGD(self.model_parameters, 1e-2)
        critic_descent = torch.optim.SGD(self.critic_parameters, 1e-2)
        with (
            higher.innerloop_ctx(self.model, model_descent) as (model, model_step),
            higher.innerloop_ctx(self.critics, critic_descent) as (critics, critic_step),
        ):
            model_step.step(self.prediction_loss(model, batch))
            critic_step.step(bellman_error(critics, batch, self.model_targets(model, batch)))
            (gradient,) = torch.autograd.grad(self.task_loss(critics, batch), self.phi)
        return gradient


def bellman_error(critics: nn.Module, batch: Batch, targets: Tensor) -> Tensor:
    """Σ_j mean_B[(Q_j(s, a) − y)²]."""
    first, second = ((values * batch.actions).sum(1) for values in critics(batch.observations))
    error: Tensor = (first - targets).square().mean() + (second - targets).square().mean()
    return error


def _step(optimizer: Any, parameters: Sequence[Tensor], loss: Tensor) -> None:
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        parameter.grad = gradient
    optimizer.step()


def _perceptron(inputs: int, outputs: int, hidden: int = 32) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, outputs),
    )


def _dot(left: Any, right: Any) -> Tensor:
    total: Tensor = torch.stack([(a * b).sum() for a, b in zip(left, right, strict=True)]).sum()
    return total


def _normal_equation_cg(matvec: Any, b: list[Tensor]) -> list[Tensor]:
    u = [torch.zeros_like(x) for x in b]
    residual = b
    gradient = matvec(residual)
    direction, squared = gradient, _dot(gradient, gradient)
    for iteration in range(CG_ITERATIONS):
        product = matvec(direction)
        step = squared / _dot(product, product)
        u = [x + step * d for x, d in zip(u, direction, strict=True)]
        residual = [r - step * p for r, p in zip(residual, product, strict=True)]
        if iteration == CG_ITERATIONS - 1:
            break
        gradient = matvec(residual)
        previous, squared = squared, _dot(gradient, gradient)
        direction = [g + squared / previous * d for g, d in zip(gradient, direction, strict=True)]
    return u
