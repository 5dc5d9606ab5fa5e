"""The hypergradient of an update against finite differences of φ ↦ L_task(ω*(θ*(φ)))."""

import pytest
import torch
from torch import nn

from cases import (
    A,
    ByAutograd,
    N,
    SharedFeatures,
    applied_gradient,
    assert_close,
    draw_batch,
    draw_state,
    draws,
    every_metric,
    minimum,
    parametrized,
    small_update,
)
from mbrl_taskmet.dynamics import DynamicsModel
from mbrl_taskmet.hypergradient import FullHessian, ImplicitGradient
from mbrl_taskmet.linear_solvers import Exact
from mbrl_taskmet.mlp import MLP
from mbrl_taskmet.networks import ModuleNetwork
from mbrl_taskmet.trilevel import TaskMetUpdate

BATCH, TASK_BATCH = draw_batch(1, rows=24), draw_batch(2, rows=24)
"""The model is fitted to the one, the critic and the task loss live on the other."""

every_model = parametrized(
    "activation", {"linear_model": nn.Identity(), "nonlinear_model": nn.Tanh()}
)


def make_update(metric, activation, centred):
    """A misspecified model, whose outputs share parameters, and a critic linear in ω."""
    return small_update(
        TaskMetUpdate,
        metric,
        critic_hidden=(),
        model=DynamicsModel(N, ModuleNetwork(SharedFeatures(activation)), MLP((N + A, 1))),
        hypergradient=ImplicitGradient(Exact(), FullHessian(), damping=0.0),
        critic_solver=Exact(),
        critic_damping=0.0,
        centred=centred,
    )


def inner_optimum(update, state, phi):
    """θ*(φ) on the one batch and ω*(θ) on the other, by Newton's method."""
    reference = ByAutograd(update)
    dynamics, reward = update.model.split(state.model)
    dynamics = minimum(
        lambda d: reference.prediction_loss(torch.cat([d, reward]), phi, BATCH),
        torch.zeros_like(dynamics),
    )
    theta = torch.cat([dynamics, reward])
    omega = minimum(
        lambda w: reference.model_bellman_error(w, theta, state.target_critic, TASK_BATCH),
        state.critic,
    )
    return state._replace(model=theta, critic=omega, metric=phi)


@every_metric
@every_model
@pytest.mark.parametrize("centred", [True, False], ids=["centred", "whole"])
def test_hypergradient_is_the_slope_of_the_whole_trilevel_map(metric, activation, centred):
    update = make_update(metric, activation, centred)
    state = draw_state(update)

    def whole_map(phi):
        omega = inner_optimum(update, state, phi).critic
        return ByAutograd(update).task_loss(omega, state.target_critic, TASK_BATCH)

    normal, step = draws(), 1e-5
    directions = [normal(*state.metric.shape) for _ in range(3)]
    slopes = [
        (whole_map(state.metric + step * d) - whole_map(state.metric - step * d)) / (2 * step)
        for d in directions
    ]
    optimum = inner_optimum(update, state, state.metric)
    after, _ = update.learn_from_task(optimum, BATCH, TASK_BATCH)
    found = torch.stack([applied_gradient(after.metric_moments) @ d for d in directions])
    assert found.abs().max() > 1e-3
    assert_close(found, torch.stack(slopes), rtol=1e-5, atol=1e-7)
