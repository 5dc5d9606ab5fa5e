"""Small problems in double precision that tests share, with references written by brute force."""

import functools
import itertools
import math
from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn
from torch.autograd.functional import hessian, jacobian
from torch.nn.functional import one_hot, softplus

from mbrl_taskmet.agents.soft_q import SoftQ
from mbrl_taskmet.batch import Batch
from mbrl_taskmet.compilation import has_compiler
from mbrl_taskmet.dynamics import DynamicsModel
from mbrl_taskmet.forms import Cholesky, Diagonal, Scaled
from mbrl_taskmet.hypergradient import FullHessian, ImplicitGradient, PredictionProblem
from mbrl_taskmet.metric import ConditionalMetric, UnconditionalMetric
from mbrl_taskmet.mlp import MLP
from mbrl_taskmet.networks import FunctionLinearization
from mbrl_taskmet.relevance import CriticSensitivity
from mbrl_taskmet.trilevel import ModelBasedUpdate, TaskMetUpdate

N, A, B = 3, 2, 12
"""Observation dimensions, actions, rows of a batch."""

needs_compiler = pytest.mark.skipif(not has_compiler(), reason="there is no C++ compiler")

assert_close = functools.partial(torch.testing.assert_close, rtol=1e-8, atol=1e-11)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draws(seed=0):
    """Return a source of standard normal tensors, each call another draw."""
    source = generator(seed)
    return lambda *shape: torch.randn(*shape, generator=source, dtype=torch.float64)


def assert_linearized_as_the_function(network, theta, inputs, outputs):
    """All that the network's linearisation offers is what `torch.func` makes of the network."""
    normal = draws(7)
    tangent, cotangent = normal(*theta.shape), normal(len(inputs), outputs)
    found = network.linearize(theta, inputs)
    expected = FunctionLinearization(network, theta, inputs)
    assert_close(found.outputs, network(theta, inputs))
    assert_close(found.jvp(tangent), expected.jvp(tangent))
    assert_close(found.vjp(cotangent), expected.vjp(cotangent))
    assert_close(
        found.curvature_vjp(tangent, cotangent), expected.curvature_vjp(tangent, cotangent)
    )
    weigh = torch.nn.Softplus()
    assert_close(found.gauss_newton(weigh)(tangent), expected.gauss_newton(weigh)(tangent))


def identity(size):
    return torch.eye(size, dtype=torch.float64)


def draw_batch(seed=0, rows=B):
    """Transitions that follow no rule; every fourth one terminates."""
    normal = draws(seed)
    return Batch(
        observations=normal(rows, N),
        actions=one_hot(torch.arange(rows) % A, A).double(),
        rewards=normal(rows),
        next_observations=normal(rows, N),
        terminations=(torch.arange(rows) % 4 == 0).double(),
        noise=torch.zeros(rows, 0, dtype=torch.float64),
    )


def metrics(normalize):
    forms = {"diagonal": Diagonal(N, normalize), "cholesky": Cholesky(N, normalize)}
    return {
        f"{condition}-{form}-{'normalised' if normalize else 'free'}": metric
        for form, shape in forms.items()
        for condition, metric in {
            "unconditional": UnconditionalMetric(shape),
            "conditional": ConditionalMetric(shape, MLP((N + A, 4, *shape.identity().shape))),
        }.items()
    }


def parametrized(name, cases):
    return pytest.mark.parametrize(name, cases.values(), ids=cases.keys())


every_normalized_metric = parametrized("metric", metrics(True))
every_metric = parametrized("metric", metrics(True) | metrics(False))


def draw_metric(metric, seed=7):
    """φ away from the identity."""
    phi = metric.init(generator(seed), torch.float64)
    return phi + 0.7 * draws(seed)(*phi.shape)


def matrices(metric, phi, inputs):
    """Λ_φ(s, a) of each row, entry by entry from its definition: (B, n, n)."""
    form, rows = metric.form, len(inputs)
    if isinstance(form, Scaled):
        root = form.scale.sqrt()
        return root[:, None] * matrices(replace(metric, form=form.form), phi, inputs) * root
    conditional = isinstance(metric, ConditionalMetric)
    raw = metric.network(phi, inputs) if conditional else phi.expand(rows, -1)
    if isinstance(form, Diagonal):
        matrix = torch.diag_embed(softplus(raw))
    else:
        factor = raw.new_zeros(rows, N, N)
        below = itertools.count(N)
        for i in range(N):
            for j in range(i):
                factor[:, i, j] = raw[:, next(below)]
            factor[:, i, i] = softplus(raw[:, i])
        matrix = factor @ factor.transpose(1, 2)
    if form.normalize:
        matrix = math.sqrt(N) * matrix / matrix.square().sum((1, 2), keepdim=True).sqrt()
    return matrix


class SharedFeatures(nn.Module):
    """Few parameters that all outputs share: the outputs compete, and the metric decides."""

    def __init__(self, activation=None, num_parameters=4):
        super().__init__()
        self.activation = activation or nn.Identity()
        self.register_buffer("features", draws(3)(N + A, N, num_parameters) / 2)
        self.theta = nn.Parameter(0.3 * draws(4)(num_parameters))

    def forward(self, inputs):
        return self.activation(torch.einsum("bk,kip,p->bi", inputs, self.features, self.theta))


def draw_problem(network, metric, seed=0, rows=B):
    normal = draws(seed)
    return PredictionProblem(network, metric, normal(rows, N + A), 0.5 * normal(rows, N))


def loss_of(problem):
    """L(θ, φ) through Λ written out."""

    def loss(theta, phi):
        errors = problem.network(theta, problem.inputs) - problem.targets
        dense = matrices(problem.metric, phi, problem.inputs)
        return torch.einsum("bi,bij,bj->b", errors, dense, errors).mean()

    return loss


def minimum(loss, start):
    """Newton's method, which finds the minimum of a quadratic in one step."""
    point = start
    for _ in range(15):
        gradient = jacobian(loss, point).flatten()
        if gradient.abs().max() < 1e-12:
            return point
        curvature = hessian(loss, point).reshape(point.numel(), -1)
        point = point - torch.linalg.solve(curvature, gradient).view_as(point)
    raise AssertionError("Newton's method has not converged.")


def dense_curvature(problem, theta, phi, curvature):
    """H as a matrix, from brute-force Jacobians and Hessians."""
    if isinstance(curvature, FullHessian):
        return hessian(lambda t: loss_of(problem)(t, phi), theta)
    outputs = jacobian(lambda t: problem.network(t, problem.inputs), theta)
    dense = matrices(problem.metric, phi, problem.inputs)
    return 2 / len(problem.inputs) * torch.einsum("bip,bij,bjq->pq", outputs, dense, outputs)


def dense_mixed_derivative(problem, theta, phi):
    """∂_φ ∂_θ L, shape (θ, φ)."""

    def optimality(phi):
        return jacobian(lambda t: loss_of(problem)(t, phi), theta, create_graph=True)

    return jacobian(optimality, phi)


def dense_hypergradient(problem, theta, phi, gradient, curvature, damping):
    """−(∂_φ ∂_θ L)ᵀ (H + damping I)⁻¹ g."""
    damped = dense_curvature(problem, theta, phi, curvature) + damping * identity(len(theta))
    return -dense_mixed_derivative(problem, theta, phi).T @ torch.linalg.solve(damped, gradient)


def small_update(kind=ModelBasedUpdate, metric=None, critic_hidden=(6,), model=None, **options):
    """An update of a small model and a small critic."""
    return kind(
        model=model or DynamicsModel.of_capacity(N, A, (5,)),
        critic=SoftQ(MLP((N, *critic_hidden, A)), temperature=0.5),
        metric=metric or UnconditionalMetric(Diagonal(N)),
        gamma=0.9,
        tau=0.05,
        **options,
    )


def small_shipped_update():
    """TaskMet's as it is by default: gated, bounded, implicit."""
    return small_update(
        TaskMetUpdate,
        UnconditionalMetric(Diagonal(N, largest=5.0)),
        relevance=CriticSensitivity(),
        hypergradient=ImplicitGradient(),
    )


def draw_state(update, seed=5):
    """A state in the midst of training: φ off the identity, ω̄ behind ω, some gates half closed."""
    state = update.init(generator(seed), torch.float64)
    behind = state.critic + 0.3 * draws(seed)(*state.critic.shape)
    return state._replace(
        target_critic=behind,
        metric=draw_metric(update.metric, seed),
        sight=update.relevance.judge(draws(seed + 1)(N).abs()),
    )


@dataclass(frozen=True)
class ByAutograd:
    """The losses of an update as the equations have them, for autograd to differentiate.

    Batches come as `look_at` shows them; the gates are those before the critic's next state.
    """

    update: ModelBasedUpdate
    gates: float | torch.Tensor = 1.0

    def predictions(self, theta, batch):
        """ŝ′ and r̂."""
        inputs = torch.cat([batch.observations, batch.actions], 1)
        model = self.update.model
        dynamics, reward = theta.split([model.dynamics.num_parameters, model.reward.num_parameters])
        return model.dynamics(dynamics, inputs), model.reward(reward, inputs)[:, 0]

    def prediction_loss(self, theta, phi, batch):
        """L_pred(θ, φ)."""
        next_observations, rewards = self.predictions(theta, batch)
        errors = next_observations - batch.next_observations
        dense = matrices(self.update.metric, phi, torch.cat([batch.observations, batch.actions], 1))
        weighted = torch.einsum("bi,bij,bj->b", errors, dense, errors)
        return (weighted + (rewards - batch.rewards) ** 2).mean()

    def value(self, omega, observations):
        """V(s)."""
        critic = self.update.critic
        smallest = functools.reduce(torch.minimum, critic.network(omega, observations))
        return critic.temperature * torch.log(torch.exp(smallest / critic.temperature).sum(1))

    def model_targets(self, theta, target_critic, batch):
        """y(θ)."""
        next_observations, rewards = self.predictions(theta, batch)
        values = self.value(target_critic, self.gates * next_observations)
        return rewards + self.update.gamma * (1 - batch.terminations) * values

    def true_targets(self, target_critic, batch):
        """y."""
        values = self.value(target_critic, self.gates * batch.next_observations)
        return batch.rewards + self.update.gamma * (1 - batch.terminations) * values

    def chosen_values(self, omega, batch):
        """Q_j(s, a), shape (J, B)."""
        values = self.update.critic.network(omega, batch.observations)
        return values[:, torch.arange(len(batch.rewards)), batch.actions.argmax(1)]

    def model_bellman_error(self, omega, theta, target_critic, batch):
        """L_Q(ω, θ)."""
        targets = self.model_targets(theta, target_critic, batch)
        return ((self.chosen_values(omega, batch) - targets) ** 2).sum(0).mean()

    def task_loss(self, omega, target_critic, batch):
        """L_task(ω)."""
        targets = self.true_targets(target_critic, batch)
        return ((self.chosen_values(omega, batch) - targets) ** 2).sum(0).mean()

    def task_gradient(self, state, batch):
        """g_θ = −∇_θ⟨∇_ω L_Q, v⟩, v = (∂²_ω L_Q)⁻¹ ∇_ω L_task.

        The centred v leaves the critic's own error out: it is that of L_task − L_Q.
        """
        theta = state.model.clone().requires_grad_()
        omega = state.critic.clone().requires_grad_()
        task_loss = self.task_loss(omega, state.target_critic, batch)
        model_loss = self.model_bellman_error(omega, theta, state.target_critic, batch)
        (in_omega,) = torch.autograd.grad(model_loss, omega, create_graph=True)
        (v,) = torch.autograd.grad(task_loss, omega)
        if self.update.centred:
            v = v - in_omega.detach()
        if self.update.critic_solver is not None:
            outputs = jacobian(lambda w: self.chosen_values(w, batch), state.critic)
            outputs = outputs.reshape(-1, v.numel())
            damping = self.update.critic_damping * identity(v.numel())
            curvature = 2 / len(batch.rewards) * outputs.T @ outputs + damping
            v = torch.linalg.solve(curvature, v.flatten()).view_as(v)
        return -torch.autograd.grad(in_omega, theta, v)[0]


def applied_gradient(optimizer_state, beta1=0.9):
    """The gradient behind Adam's first step."""
    assert optimizer_state.steps == 1
    return optimizer_state.first_moment / (1 - beta1)


class Weighted:
    """A task whose decision is the prediction and whose regret is a weighted squared error."""

    sense = "minimize"
    target_range = None
    weights = torch.tensor([2.0, 0.5, 4.0])

    def decision(self, y_hat, aux, *, relaxed=False):
        return y_hat

    def objective(self, y, z, aux):
        return ((z - y).squeeze(-1).square() * self.weights).sum(-1)
