"""The model of the environment."""

import torch

from cases import A, N, assert_close, draw_batch, draws, generator
from mbrl_taskmet.dynamics import DynamicsModel

MODEL = DynamicsModel.of_capacity(N, A, (5, 4))


def test_capacity_is_the_hidden_sizes_of_both_networks():
    assert MODEL.dynamics.sizes == (N + A, 5, 4, N)
    assert MODEL.reward.sizes == (N + A, 5, 4, 1)
    theta = MODEL.init(generator())
    assert theta.shape == (MODEL.dynamics.num_parameters + MODEL.reward.num_parameters,)
    assert theta.dtype == torch.float32


def test_split_gives_views_the_dynamics_first():
    theta = MODEL.init(generator(), torch.float64)
    dynamics, reward = MODEL.split(theta)
    assert_close(torch.cat([dynamics, reward]), theta)
    assert dynamics.data_ptr() == theta.data_ptr()
    assert len(dynamics) == MODEL.dynamics.num_parameters


def test_inputs_are_observations_and_then_actions():
    batch = draw_batch()
    inputs = batch.model_inputs
    assert torch.equal(inputs[:, :N], batch.observations)
    assert torch.equal(inputs[:, N:], batch.actions)


def test_pullback_through_both_networks_is_that_of_autograd():
    batch, normal = draw_batch(), draws()
    theta = MODEL.init(generator(), torch.float64).requires_grad_()
    model = MODEL.linearize(theta, batch.model_inputs)
    outputs = model.next_observations, model.rewards
    cotangents = [normal(*output.shape) for output in outputs]
    assert outputs[1].shape == batch.rewards.shape
    (expected,) = torch.autograd.grad(outputs, theta, cotangents)
    assert_close(model.vjp(*cotangents), expected)
