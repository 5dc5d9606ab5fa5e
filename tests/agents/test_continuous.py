"""The same agents on continuous actions: a squashed Gaussian policy and soft actor-critic."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.evaluation import evaluate_policy

from mbrl_taskmet import MLE
from mbrl_taskmet.agents.policies import SquashedGaussianPolicy

ACTIONS = spaces.Box(np.float32([-2, 0]), np.float32([2, 1]))


@pytest.fixture
def observations():
    return np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)


def make_policy():
    policy = SquashedGaussianPolicy(
        spaces.Box(-1, 1, (3,), np.float32), ACTIONS, lambda progress: 0.0, net_arch=(6,)
    )
    source = torch.Generator().manual_seed(1)
    policy.acting_parameters = torch.randn(policy.acting_parameters.shape, generator=source)
    policy.generator.manual_seed(2)
    return policy


def scaled(actions):
    """From [−1, 1] to the space."""
    return ACTIONS.low + (actions + 1) / 2 * (ACTIONS.high - ACTIONS.low)


def test_actions_are_the_squashed_draws_of_the_gaussian():
    policy = make_policy()
    observation = np.float32([0.3, -0.2, 0.9])
    outputs = policy.critic.actor(policy.acting_parameters, torch.as_tensor(observation)[None])
    mean, std = outputs[0, :2].numpy(), outputs[0, 2:].exp().numpy()
    greedy, _ = policy.predict(observation, deterministic=True)
    np.testing.assert_allclose(greedy, scaled(np.tanh(mean)), rtol=1e-5)
    drawn, _ = policy.predict(np.tile(observation, (20_000, 1)))
    before = np.arctanh(2 * (drawn - ACTIONS.low) / (ACTIONS.high - ACTIONS.low) - 1)
    np.testing.assert_allclose(before.mean(0), mean, atol=5 * std.max() / np.sqrt(20_000))
    np.testing.assert_allclose(before.std(0), std, rtol=0.05)


def test_deviations_are_kept_within_the_range_that_learning_keeps_them_in():
    policy = make_policy()
    biases = policy.acting_parameters.view(-1)[-4:]  # of (μ, log σ)
    policy.acting_parameters[:-4] = 0
    biases.copy_(torch.tensor([0.1, -0.3, 50.0, -50.0]))
    observations = np.zeros((200, 3), np.float32)
    noise = torch.randn(200, 2, generator=torch.Generator().manual_seed(2))
    learned = policy.critic.act(
        torch.cat([policy.acting_parameters, torch.zeros(1)]), torch.as_tensor(observations), noise
    )
    found, _ = policy.predict(observations)
    np.testing.assert_allclose(found, scaled(learned.actions.numpy()), atol=1e-5)
    assert 0 < (learned.actions[:, 0].abs() < 0.99).sum() < 200


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_saturated_actions_lie_in_their_space_whatever_its_bounds(dtype):
    bounds = np.random.default_rng(0).normal(scale=10, size=(2, 300)).astype(dtype)
    space = spaces.Box(bounds.min(0), bounds.max(0), dtype=dtype)
    policy = SquashedGaussianPolicy(spaces.Box(-1, 1, (3,)), space, lambda progress: 0.0, (4,))
    policy.acting_parameters.zero_()
    for sign in (-1, 1):
        policy.acting_parameters[-600:-300] = 100 * sign  # the bias of μ
        for deterministic in (True, False):
            action, _ = policy.predict(np.zeros(3, np.float32), deterministic=deterministic)
            assert space.contains(action.astype(dtype))


def test_learning_is_finite_and_actions_lie_in_their_space(
    agent_class, make_agent, make_pendulum, observations
):
    agent = make_agent(agent_class, make_pendulum()).learn(120)
    assert agent._n_updates == 120 - agent.learning_starts
    assert all(np.isfinite(value) for value in agent.last_info.values())
    many, _ = agent.predict(observations)
    assert many.shape == (40, 1)
    assert all(agent.action_space.contains(action) for action in many)
    stored = agent.replay_buffer._rows[:120, 0, 5]
    assert stored.abs().max() <= 1
    assert len(stored.unique()) > 100
    assert len(agent.metric_weights().weights) == 5


def test_acting_sees_what_learning_sees(agent_class, make_agent, make_pendulum, observations):
    agent = make_agent(agent_class, make_pendulum()).learn(80)
    update, state = agent.learner.update, agent.learner.state
    seen = update.see(state, state.normalizer(torch.as_tensor(observations)))
    drawn = update.critic.act(state.policy, seen, torch.zeros(40, 1))
    found, _ = agent.predict(observations, deterministic=True)
    np.testing.assert_allclose(found, 2 * drawn.actions.numpy(), atol=1e-5)


@pytest.mark.slow
def test_maximum_likelihood_learns_the_pendulum():
    """A random policy has a mean return of −1,200, and one that swings up and stays −150."""
    sizes = {"critic_hidden": (64, 64), "model_hidden": (64, 64)}
    agent = MLE("MlpPolicy", gym.make("Pendulum-v1"), seed=0, device="cpu", compile=False, **sizes)
    agent.learn(6_000)
    mean, _ = evaluate_policy(agent, agent.get_env(), 10)
    assert mean > -400
