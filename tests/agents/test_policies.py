"""π(a | s) = ε / A + (1 − ε) softmax(min_j Q_j(s, ·) / α)."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from mbrl_taskmet.agents.policies import SoftQPolicy

DRAWS, NUM_ACTIONS = 60_000, 4
UNLIKELY = 27.0
"""χ² of three degrees of freedom: p = 6e-6."""

every_start = pytest.mark.parametrize("start", [0, -2, 5])


def make_policy(epsilon=0.1, temperature=0.5, start=0):
    policy = SoftQPolicy(
        spaces.Box(-1, 1, (3,), np.float32),
        spaces.Discrete(NUM_ACTIONS, start=start),
        lambda progress: 0.0,
        net_arch=(6,),
        temperature=temperature,
        exploration_epsilon=epsilon,
    )
    source = torch.Generator().manual_seed(1)
    policy.acting_parameters = torch.randn(policy.acting_parameters.shape, generator=source)
    policy.generator.manual_seed(2)
    return policy


def draw_observations(number):
    return np.random.default_rng(0).uniform(-1, 1, (number, 3)).astype(np.float32)


def smallest_values(policy, observations):
    """min_j Q_j(s, ·), shape (B, A)."""
    each = [
        policy.critic.network(p, torch.as_tensor(observations)) for p in policy.acting_parameters
    ]
    return torch.stack(each).min(0).values.double().numpy()


def surprise(counts, probabilities):
    expected = DRAWS * probabilities
    return ((counts - expected) ** 2 / expected).sum()


@every_start
@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_actions_follow_the_distribution(epsilon, start):
    policy = make_policy(epsilon, start=start)
    for observation in draw_observations(3):
        values = smallest_values(policy, observation[None])[0]
        soft = np.exp(values / 0.5) / np.exp(values / 0.5).sum()
        actions, _ = policy.predict(np.tile(observation, (DRAWS, 1)))
        counts = np.bincount(actions - start, minlength=NUM_ACTIONS)
        assert surprise(counts, epsilon / NUM_ACTIONS + (1 - epsilon) * soft) < UNLIKELY
        if epsilon < 1:
            assert surprise(counts, np.full(NUM_ACTIONS, 1 / NUM_ACTIONS)) > 10 * UNLIKELY


@every_start
def test_the_greedy_action_has_the_highest_value_of_the_smaller_critic(start):
    policy = make_policy(start=start)
    observations = draw_observations(300)
    actions, _ = policy.predict(observations, deterministic=True)
    np.testing.assert_array_equal(actions - start, smallest_values(policy, observations).argmax(1))
    assert len(set(actions)) > 1


def test_a_cold_policy_without_exploration_is_greedy():
    policy, observations = make_policy(epsilon=0.0, temperature=1e-6), draw_observations(300)
    greedy, _ = policy.predict(observations, deterministic=True)
    np.testing.assert_array_equal(policy.predict(observations)[0], greedy)


def test_an_agent_acts_on_the_critic_it_has_learned(agent_class, make_agent):
    agent = make_agent(agent_class).learn(80)
    assert torch.equal(agent.policy.acting_parameters, agent.learner.state.critic)
    assert agent.policy.critic == agent.learner.update.critic
