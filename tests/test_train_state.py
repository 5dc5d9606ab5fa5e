"""The fresh state."""

import torch

from cases import draws
from mbrl_taskmet.relevance import AllAlike
from mbrl_taskmet.train_state import train_state

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
        (state.model, state.model_moments),
        (state.critic, state.critic_moments),
        (state.policy, state.policy_moments),
        (state.metric, state.metric_moments),
    ]:
        assert optimizer.first_moment.shape == parameters.shape
        assert not any(part.any() for part in optimizer)
        assert all(part.dtype == parameters.dtype for part in optimizer)
