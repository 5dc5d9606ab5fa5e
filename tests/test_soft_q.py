"""The soft-Q critic against its equations and autograd, at ties too."""

import pytest
import torch

from cases import A, ByAutograd, N, assert_close, draw_batch, draws, generator, small_update
from mbrl_taskmet.agents.soft_q import SoftQ
from mbrl_taskmet.mlp import MLP

UPDATE = small_update()
CRITIC, REFERENCE = UPDATE.critic, ByAutograd(UPDATE)
BATCH = draw_batch()
OMEGA = CRITIC.init(generator(), torch.float64)
PSI = CRITIC.init_policy(generator(), torch.float64)


def value_at(omega, observations, critic=CRITIC):
    return critic.linearize_value(omega, PSI, observations, BATCH.noise)


def distinct(omega):
    return omega


def tied(omega):
    """The second critic a copy of the first."""
    return omega[:1].repeat(2, 1)


def half_tied(omega):
    """Critics that agree on one action only: the last layer's columns are the actions."""
    omega = tied(omega).clone()
    CRITIC.network.matrices(omega)[-1][1, :, 0] += 0.1
    return omega


every_tie = pytest.mark.parametrize("tie", [distinct, tied, half_tied])


@every_tie
def test_value_is_the_closed_form(tie):
    found = value_at(tie(OMEGA), BATCH.observations).outputs
    assert_close(found, REFERENCE.value(tie(OMEGA), BATCH.observations))


@every_tie
def test_gradient_of_the_value_in_the_state_is_that_of_autograd(tie):
    omega, cotangent = tie(OMEGA), draws()(len(BATCH.rewards))
    observations = BATCH.observations.clone().requires_grad_()
    (expected,) = torch.autograd.grad(REFERENCE.value(omega, observations), observations, cotangent)
    found = value_at(omega, observations.detach()).input_vjp(cotangent)
    assert_close(found, expected)


@pytest.mark.parametrize("num_critics", [1, 2, 3])
def test_gradient_at_a_tie_of_all_critics_is_that_of_any_one(num_critics):
    critic = SoftQ(CRITIC.network, 0.5, num_critics)
    cotangent = draws()(len(BATCH.rewards))

    def gradient(omega):
        return value_at(omega, BATCH.observations, critic).input_vjp(cotangent)

    assert_close(gradient(OMEGA[:1].repeat(num_critics, 1)), gradient(OMEGA[:1]))


def test_chosen_values_are_those_of_the_actions_taken():
    found = CRITIC.linearize(OMEGA, BATCH.observations, BATCH.actions).outputs
    values = CRITIC.network(OMEGA, BATCH.observations)
    assert values.shape == (2, len(BATCH.rewards), A)
    for row, action in enumerate(BATCH.actions.argmax(1)):
        assert_close(found[:, row], values[:, row, action])


def test_products_with_the_critics_jacobian_are_those_of_autograd():
    normal = draws()
    found = CRITIC.linearize(OMEGA, BATCH.observations, BATCH.actions)
    tangent, cotangent = normal(*OMEGA.shape), normal(2, len(BATCH.rewards))

    def chosen(omega):
        return REFERENCE.chosen_values(omega, BATCH)

    assert_close(found.jvp(tangent), torch.func.jvp(chosen, (OMEGA,), (tangent,))[1])
    assert_close(found.vjp(cotangent), torch.func.vjp(chosen, OMEGA)[1](cotangent)[0])


def test_the_policy_follows_from_the_critics_and_has_nothing_to_learn():
    gradient, info = CRITIC.policy_gradient(OMEGA, PSI, BATCH.observations, BATCH.noise)
    assert gradient.shape == PSI.shape == (0,)
    assert info == {}


def test_critics_of_an_ensemble_differ():
    assert OMEGA.shape == (2, CRITIC.network.num_parameters)
    assert not torch.isclose(OMEGA[0], OMEGA[1]).any()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"temperature": 0.0}, "temperature must be positive; got 0"),
        ({"temperature": -1.0}, "temperature must be positive; got -1"),
        ({"num_critics": 0}, "at least one critic; got 0"),
    ],
)
def test_impossible_critics_are_refused(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        SoftQ(MLP((N, A)), **options)
