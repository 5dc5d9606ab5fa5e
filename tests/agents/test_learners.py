"""What each agent learns from, and that it learns."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from mbrl_taskmet import MLE, OMD, VEP, TaskMet, VaGraM
from mbrl_taskmet.relevance import AllAlike, CriticSensitivity, GatesOnly, Predictability

independence = pytest.mark.parametrize("independent", [True, False])


class Flagged(gym.Wrapper):
    """CartPole with one more dimension, which says that it has fallen."""

    def __init__(self):
        super().__init__(gym.make("CartPole-v1"))
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (5,), np.float32)

    def reset(self, **options):
        observation, info = self.env.reset(**options)
        return np.append(observation, np.float32(0)), info

    def step(self, action):
        observation, reward, terminated, truncated, info = self.env.step(action)
        return np.append(observation, np.float32(terminated)), reward, terminated, truncated, info


def watch(agent):
    """The arguments of every update."""
    calls, step = [], agent.learner.step
    agent.learner.step = lambda *batches, **options: (
        calls.append(batches) or step(*batches, **options)
    )
    return calls


def test_the_metric_is_frozen_until_its_warmup_is_over(make_agent):
    agent = make_agent(TaskMet, metric_warmup=40)
    first = agent.learner.state.metric
    agent.learn(agent.learning_starts + 40)
    assert agent._n_updates == 40
    assert torch.equal(agent.learner.state.metric, first)
    assert agent.learner.state.metric_moments.steps == 0
    assert agent.learner.state.model_moments.steps == 40
    assert "hypergradient_norm" not in agent.last_info
    agent.learn(1, reset_num_timesteps=False)
    assert (agent.learner.state.metric != first).all()
    assert agent.learner.state.metric_moments.steps == 1
    assert agent.last_info["hypergradient_norm"] > 0


def test_until_then_taskmet_is_maximum_likelihood(make_agent, snapshot, differences):
    """Given the same batches: the metric starts at the identity."""
    taskmet = make_agent(
        TaskMet,
        metric_warmup=1_000,
        independent_batches=False,
        relevance=AllAlike(),
        input_scale=1.0,
    ).learn(120)
    mle = make_agent(MLE).learn(120)
    assert set(differences(snapshot(taskmet), snapshot(mle))) == set()


@independence
@pytest.mark.parametrize("agent_class", [TaskMet, OMD])
def test_the_task_loss_has_a_batch_of_its_own_if_asked_for(make_agent, agent_class, independent):
    agent = make_agent(agent_class, independent_batches=independent)
    calls = watch(agent)
    agent.learn(70)
    assert len(calls) == 20
    for batch, task_batch in calls:
        assert torch.equal(batch.observations, task_batch.observations) != independent


@pytest.mark.parametrize("agent_class", [MLE, VEP, VaGraM])
def test_agents_without_a_task_loss_draw_one_batch(make_agent, agent_class):
    agent = make_agent(agent_class)
    calls = watch(agent)
    agent.learn(60)
    assert all(batch is task_batch for batch, task_batch in calls)


@pytest.mark.parametrize(
    ("agent_class", "feels"),
    [(MLE, True), (TaskMet, True), (VaGraM, False), (OMD, False), (VEP, False)],
)
def test_only_metrics_feel_a_state_that_has_no_value(make_agent, agent_class, feels):
    """Where an episode terminated, no value depends on s′: only its prediction by itself does."""
    agent = make_agent(agent_class).learn(60)
    start = agent.learner.state
    (batch,) = agent.replay_buffer.sample_batches(16, 1, torch.Generator().manual_seed(0))
    batch = batch._replace(terminations=torch.ones(16))
    moved = batch._replace(next_observations=batch.next_observations + 1)
    with torch.no_grad():
        one, _ = agent.learner.update(start, batch, batch)
        other, _ = agent.learner.update(start, moved, moved)
    assert not torch.equal(one.model, start.model)
    assert torch.equal(one.model, other.model) != feels


@pytest.mark.parametrize("agent_class", [OMD, TaskMet])
def test_the_task_batch_alone_carries_the_task(make_agent, agent_class):
    agent = make_agent(agent_class).learn(90)
    start = agent.learner.state
    batch, one, other = agent.replay_buffer.sample_batches(16, 3, torch.Generator().manual_seed(0))
    with torch.no_grad():
        after = [agent.learner.update(start, batch, task)[0] for task in (one, other)]
    assert torch.equal(after[0].critic, after[1].critic)
    learned = "model" if agent_class is OMD else "metric"
    assert not torch.equal(getattr(after[0], learned), getattr(after[1], learned))
    other_level = "metric" if agent_class is OMD else "model"
    assert torch.equal(getattr(after[0], other_level), getattr(after[1], other_level))


def test_a_metric_that_shuts_a_dimension_out_is_not_fitted_there(make_agent):
    """The metric reaches the model's training: almost no weight, almost no step."""
    agent = make_agent(TaskMet, normalize_metric=False, metric_warmup=10_000)
    light = agent.learner.state.metric.clone()
    light[5] = -30.0
    agent.learner.state = agent.learner.state._replace(metric=light)
    agent.learn(60)
    moments = agent.learner.state.model_moments.first_moment
    (*_, last), _ = (
        network.matrices(parameters)
        for network, parameters in zip(
            (agent.learner.update.model.dynamics, agent.learner.update.model.reward),
            agent.learner.update.model.split(moments),
            strict=True,
        )
    )
    assert last[:, 5].abs().max() < 1e-8 < last[:, 4].abs().max()


def test_observations_are_normalised_by_what_was_observed(agent_class, make_agent, seen):
    agent = make_agent(agent_class, "CartPole-v1")
    agent.learn(51, callback=seen)
    mean, scale, _ = agent.learner.state.normalizer
    np.testing.assert_allclose(mean, np.mean(seen.observations, 0), atol=1e-4)
    np.testing.assert_allclose(scale, 1 / np.std(seen.observations, 0), rtol=1e-2)


@pytest.mark.parametrize("num_envs", [1, 2])
def test_last_observations_of_episodes_count_too(make_agent, num_envs):
    """What moves only there is predicted all the same, and needs a unit."""
    agent = make_agent(MLE, DummyVecEnv([Flagged] * num_envs)).learn(400)
    terminations = agent.replay_buffer._rows[: agent.replay_buffer.size(), :, -1]
    share = terminations.double().mean().item()
    assert 0 < share < 0.1
    deviation = (share * (1 - share)) ** 0.5
    assert agent.learner.observed_std[-1] == pytest.approx(deviation, rel=0.1)
    agent.learner.renew_normalizer()
    assert agent.learner.state.normalizer.scale[-1].item() == pytest.approx(1 / deviation, rel=0.1)


@pytest.mark.parametrize("num_envs", [1, 2])
@pytest.mark.parametrize("unit", [1e-12, 1e-5, 1.0, 1e15, 1e25])
def test_units_are_those_of_what_was_observed_however_small_or_large(make_agent, unit, num_envs):
    agent = make_agent(MLE)
    observations = np.random.default_rng(0).normal(3, 1, (200, 6)).astype(np.float32)
    for rows in np.split(observations * np.float32(unit), 200 // num_envs):
        agent.learner.observe(rows)
    np.testing.assert_allclose(agent.learner.observed_std, unit * observations.std(0), rtol=1e-5)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e6])
def test_a_dimension_that_never_moved_keeps_its_unit(make_agent, value):
    agent = make_agent(MLE)
    observations = np.random.default_rng(0).normal(size=(100, 6)).astype(np.float32)
    observations[:, 2] = value
    for row in observations:
        agent.learner.observe(row[None])
    agent.learner.renew_normalizer()
    mean, scale, _ = agent.learner.state.normalizer
    assert (mean[2], scale[2]) == (np.float32(value), 1)
    assert (scale[[0, 1, 3, 4, 5]] != 1).all()


class Waking(gym.Env):
    """Its last dimension is at rest, but for jitter, for a hundred steps."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (3,), np.float64)
    action_space = gym.spaces.Discrete(2)

    def __init__(self):
        self.steps = 0

    def observe(self):
        observation = self.np_random.normal(size=3)
        observation[-1] *= 1.0 if self.steps > 100 else 1e-6
        return observation

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observe(), {}

    def step(self, action):
        self.steps += 1
        return self.observe(), 1.0, False, self.steps % 50 == 0, {}


def test_a_dimension_that_begins_to_move_does_not_take_learning_with_it(agent_class, make_agent):
    """Until units follow, it is a million of them, whose squares Adam would remember."""
    agent = make_agent(agent_class, Waking()).learn(145)
    state = agent.learner.state
    assert state.normalizer.scale[-1] > 1e5
    moved = agent.replay_buffer._rows[101:145, 0, 2]
    assert (moved * state.normalizer.scale[-1]).abs().median() > 1e4
    for moments in (state.model_moments, state.critic_moments):
        assert moments.second_moment.max() < 10


def test_normalisation_can_be_left_out(agent_class, make_agent):
    agent = make_agent(agent_class, normalize_observations=False).learn(80)
    mean, scale, largest = agent.learner.state.normalizer
    assert not mean.any()
    assert (scale == 1).all()
    assert torch.isinf(largest)


def test_units_of_the_observations_do_not_matter_if_they_are_normalised(make_agent, make_env):
    """To an agent that acts at random, whose experience is then the same but for them."""
    units = 2.0 ** np.array([0, 1, 2, -1, -20, 3], np.float32)
    space = gym.spaces.Box(-np.inf, np.inf, (6,), np.float32)
    env = gym.wrappers.TransformObservation(make_env(), lambda s: units * s, space)
    one, other = (make_agent(TaskMet, e, exploration_epsilon=1.0) for e in (make_env(), env))
    rows = [agent.learn(140).replay_buffer._rows[:140, 0].numpy() for agent in (one, other)]
    np.testing.assert_array_equal(rows[1][:, :6], rows[0][:, :6] * units)
    learned = one.metric_weights().weights
    np.testing.assert_allclose(other.metric_weights().weights, learned, atol=2e-3)  # rounding
    assert np.abs(learned - 1).min() > 1e-2


def test_acting_sees_what_learning_sees(agent_class, make_agent):
    agent = make_agent(agent_class).learn(80)
    observations = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    observations[25:] *= 1_000  # beyond what is seen
    update, state = agent.learner.update, agent.learner.state
    seen = update.see(state, state.normalizer(observations))
    values = update.critic.network(state.critic, seen)
    actions, _ = agent.predict(observations.numpy(), deterministic=True)
    np.testing.assert_array_equal(actions, values.amin(0).argmax(-1))


def test_a_loaded_agent_acts_as_it_sees_now(make_agent, tmp_path):
    make_agent(TaskMet).learn(80).save(tmp_path / "agent.zip")
    gated = TaskMet.load(tmp_path / "agent.zip")
    alike = TaskMet.load(tmp_path / "agent.zip", relevance=AllAlike())
    assert torch.equal(alike.policy.gates, torch.ones(6))
    assert torch.equal(gated.policy.gates, gated.learner.state.sight.gates)
    assert not torch.equal(gated.policy.gates, alike.policy.gates)


def test_a_loaded_agent_takes_no_evidence_for_what_it_is_not(make_agent, tmp_path):
    make_agent(MLE, relevance=Predictability()).learn(80).save(tmp_path / "agent.zip")
    errors = MLE.load(tmp_path / "agent.zip", relevance=GatesOnly(Predictability(floor=0.5)))
    assert errors.learner.state.sight.evidence.min() > 0
    alike = MLE.load(tmp_path / "agent.zip", relevance=AllAlike())
    alike.save(tmp_path / "alike.zip")
    other = make_agent(MLE, relevance=CriticSensitivity()).learn(80)
    other.set_parameters(alike.get_parameters())
    loaded = [
        MLE.load(tmp_path / f"{name}.zip", relevance=CriticSensitivity())
        for name in ("agent", "alike")
    ]
    for agent in (other, *loaded):
        assert torch.equal(agent.learner.state.sight.evidence, torch.zeros(6))
        assert torch.equal(agent.policy.gates, torch.ones(6))


@pytest.mark.slow
def test_maximum_likelihood_learns_cart_pole():
    env = Monitor(gym.make("CartPole-v1"))
    agent = MLE("MlpPolicy", env, seed=0, learning_starts=500, device="cpu")

    def mean_return():
        return np.mean(evaluate_policy(agent, env, 10, return_episode_rewards=True)[0])

    before = mean_return()
    agent.learn(4_000)
    assert mean_return() > max(100, 3 * before)
