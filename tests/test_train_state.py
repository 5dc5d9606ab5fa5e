"""The functional optimiser and the fresh state."""

import pytest
import torch

from cases import assert_close, draws
from mbrl_taskmet.relevance import AllAlike
from mbrl_taskmet.train_state import adam_init, adam_step, train_state


@pytest.mark.parametrize("shape", [(7,), (2, 5)])
@pytest.mark.parametrize("options", [{}, {"beta1": 0.5, "beta2": 0.9, "eps": 1e-3}])
def test_twenty_steps_are_those_of_torch(shape, options):
    normal = draws()
    parameters = normal(*shape)
    expected = parameters.clone()
    state = adam_init(parameters)
    betas = options.get("beta1", 0.9), options.get("beta2", 0.999)
    adam = torch.optim.Adam([expected], lr=0.1, betas=betas, eps=options.get("eps", 1e-8))
    for step in range(1, 21):
        expected.grad = normal(*shape)
        parameters, state = adam_step(parameters, expected.grad, state, 0.1, **options)
        adam.step()
        assert_close(parameters, expected)
        assert state.steps == step


def test_zero_gradient_at_rest_leaves_the_parameters():
    parameters = draws()(5)
    stepped, _ = adam_step(parameters, 0 * parameters, adam_init(parameters), 0.1)
    assert torch.equal(stepped, parameters)


BATCH = draws(3)(5, 6)


def test_fresh_state_starts_at_rest_with_a_target_of_its_own():
    normal = draws()
    model, critic, policy, metric = normal(4), normal(2, 3), normal(2), normal(5)
    state = train_state(model, critic, policy, metric, AllAlike().judge(torch.zeros(6)))
    assert torch.equal(state.target_critic, critic)
    assert state.annealing == 1
    assert state.normalizer.mean.shape == (6,)
    assert torch.equal(state.normalizer(BATCH), BATCH)
    assert state.target_critic.data_ptr() != critic.data_ptr()
    for parameters, optimizer in [
        (state.model, state.model_optimizer),
        (state.critic, state.critic_optimizer),
        (state.policy, state.policy_optimizer),
        (state.metric, state.metric_optimizer),
    ]:
        assert optimizer.first_moment.shape == parameters.shape
        assert not any(part.any() for part in optimizer)
        assert all(part.dtype == parameters.dtype for part in optimizer)
