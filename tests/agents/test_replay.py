"""The replay buffer holds exactly what happened."""

import pickle
import resource
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv

from mbrl_taskmet import MLE
from mbrl_taskmet.agents.replay import TransitionBuffer

OBSERVATIONS = spaces.Box(-np.inf, np.inf, (3,), np.float32)


class Diary(gym.Env):
    """Observes (episode, step, number of the environment), and writes down what happened."""

    observation_space = OBSERVATIONS

    def __init__(self, number=0, terminates_at=None, truncates_at=None, start=0):
        self.action_space = spaces.Discrete(3, start=start)
        self.number, self.episode = number, -1
        self.terminates_at, self.truncates_at = terminates_at, truncates_at
        self.pages = []

    def observe(self):
        return np.array([self.episode, self.step_number, self.number], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.step_number = self.episode + 1, 0
        return self.observe(), {}

    def step(self, action):
        before = self.observe()
        self.step_number += 1
        reward = 10.0 * self.step_number + action
        terminated = self.step_number == self.terminates_at
        truncated = self.step_number == self.truncates_at
        one_hot = np.arange(3) + self.action_space.start == action
        self.pages.append([*before, *one_hot, reward, *self.observe(), float(terminated)])
        return self.observe(), reward, terminated, truncated, {}


def experience(buffer, number=4_000):
    """Distinct transitions among many sampled ones."""
    (batch,) = buffer.sample_batches(number, 1, torch.Generator().manual_seed(0))
    columns = [c if c.dim() == 2 else c[:, None] for c in batch]
    return {tuple(row) for row in torch.cat(columns, 1).tolist()}


def pages(*diaries, last=None):
    written = zip(*(diary.pages for diary in diaries), strict=True)
    return {tuple(page) for step in list(written)[-last if last else None :] for page in step}


def collect(make_agent, diaries, steps, **options):
    env = DummyVecEnv([lambda diary=diary: diary for diary in diaries])
    agent = make_agent(MLE, env, learning_starts=10_000, **options)
    return agent.learn(steps)


@pytest.mark.parametrize("start", [0, 1, -4])
@pytest.mark.parametrize("num_envs", [1, 2])
def test_sampled_transitions_are_exactly_those_that_happened(make_agent, num_envs, start):
    """With the true final observations, whether an episode was terminated or truncated."""
    diaries = [
        Diary(number, terminates_at=7 + number, truncates_at=5 if number else None, start=start)
        for number in range(num_envs)
    ]
    agent = collect(make_agent, diaries, 60)
    assert experience(agent.replay_buffer) == pages(*diaries)
    assert all(diary.episode >= 3 for diary in diaries)


@pytest.mark.parametrize(
    ("limits", "terminations"),
    [
        ({"terminates_at": 4}, 1.0),
        ({"truncates_at": 4}, 0.0),
        ({"terminates_at": 4, "truncates_at": 4}, 1.0),
    ],
    ids=["terminated", "truncated", "both"],
)
def test_only_a_termination_keeps_the_next_value_from_the_target(make_agent, limits, terminations):
    agent = collect(make_agent, [Diary(**limits)], 40)
    ends = {row for row in experience(agent.replay_buffer) if row[8] == 4}
    assert len(ends) == 10
    assert {row[-1] for row in ends} == {terminations}
    others = experience(agent.replay_buffer) - ends
    assert {row[-1] for row in others} == {0.0}


@pytest.mark.parametrize("num_envs", [1, 2])
def test_a_full_buffer_forgets_the_oldest_transitions_first(make_agent, num_envs):
    diaries = [Diary(number, terminates_at=6) for number in range(num_envs)]
    agent = collect(make_agent, diaries, 70, buffer_size=24)
    assert agent.replay_buffer.size() == 24 // num_envs
    assert experience(agent.replay_buffer) == pages(*diaries, last=24 // num_envs)


def test_a_buffer_that_is_not_full_gives_only_what_was_written(make_agent):
    diary = Diary(terminates_at=6)
    agent = collect(make_agent, [diary], 5)
    assert experience(agent.replay_buffer) == pages(diary)


def test_batches_have_the_shapes_and_types_that_the_losses_expect(make_agent):
    agent = collect(make_agent, [Diary(terminates_at=6)], 30)
    batches = agent.replay_buffer.sample_batches(5, 3, torch.Generator())
    assert len(batches) == 3
    for batch in batches:
        shapes = [(5, 3), (5, 3), (5,), (5, 3), (5,), (5, 0)]
        assert [tuple(column.shape) for column in batch] == shapes
        assert {column.dtype for column in batch} == {torch.float32}
        assert torch.equal(batch.actions.sum(1), torch.ones(5))
        assert batch.actions.unique().tolist() == [0, 1]


def test_every_transition_is_drawn_equally_often(make_agent):
    diaries = [Diary(number, terminates_at=6) for number in range(2)]
    buffer = collect(make_agent, diaries, 20).replay_buffer
    draws = 20_000
    (batch,) = buffer.sample_batches(draws, 1, torch.Generator().manual_seed(0))
    counts = torch.cat([batch.observations, batch.actions], 1).unique(dim=0, return_counts=True)[1]
    expected = draws / len(counts)
    assert len(counts) == 20
    assert ((counts - expected) ** 2 / expected).sum() < 55  # χ² of 19 degrees: p = 2e-5


def test_the_same_generator_draws_the_same_batches(make_agent):
    buffer = collect(make_agent, [Diary(terminates_at=6)], 60).replay_buffer
    one, other, third = (
        buffer.sample_batches(20, 1, torch.Generator().manual_seed(seed))[0] for seed in (1, 1, 2)
    )
    assert all(map(torch.equal, one, other))
    assert not torch.equal(one.observations, third.observations)


@pytest.mark.parametrize("start", [0, 3])
def test_sampling_in_stable_baselines_format_gives_the_same_transitions(make_agent, start):
    buffer = collect(make_agent, [Diary(terminates_at=6, start=start)], 60).replay_buffer
    torch.manual_seed(5)
    samples = buffer.sample(40)
    (batch,) = buffer.sample_batches(40, 1, torch.Generator().manual_seed(5))
    assert torch.equal(samples.observations, batch.observations)
    assert torch.equal(samples.next_observations, batch.next_observations)
    assert torch.equal(samples.rewards, batch.rewards[:, None])
    assert torch.equal(samples.dones, batch.terminations[:, None])
    assert samples.actions.shape == (40, 1)
    assert samples.actions.dtype == torch.int64
    assert torch.equal(samples.actions[:, 0] - start, batch.actions.argmax(1))


def test_continuous_actions_are_kept_as_they_are():
    buffer = TransitionBuffer(10, OBSERVATIONS, spaces.Box(-1, 1, (2,), np.float32), n_envs=2)
    action = np.array([[0.1, -0.2], [0.3, 0.4]], np.float32)
    row = np.zeros((2, 3), np.float32)
    buffer.add(row, row, action, np.zeros(2), np.zeros(2, bool), [{}, {}])
    (batch,) = buffer.sample_batches(50, 1, torch.Generator())
    np.testing.assert_array_equal(batch.actions.unique(dim=0).numpy(), action)


def test_noise_for_the_policy_is_drawn_anew_for_each_transition_and_batch():
    buffer = TransitionBuffer(10, OBSERVATIONS, spaces.Box(-1, 1, (2,), np.float32))
    row = np.zeros((1, 3), np.float32)
    buffer.add(row, row, np.zeros((1, 2), np.float32), np.zeros(1), np.zeros(1, bool), [{}])
    one, other = (b.noise for b in buffer.sample_batches(10_000, 2, torch.Generator()))
    for noise in (one, other):
        assert noise.shape == (10_000, 2)
        torch.testing.assert_close(noise.mean(0), torch.zeros(2), atol=0.05, rtol=0)
        torch.testing.assert_close(noise.T.cov(), torch.eye(2), atol=0.07, rtol=0)
    assert (one * other).mean().abs() < 0.05
    again, _ = buffer.sample_batches(10_000, 2, torch.Generator())
    assert torch.equal(again.noise, one)


def test_saving_memory_by_sharing_observations_is_refused():
    with pytest.raises(ValueError, match="leave optimize_memory_usage=False"):
        TransitionBuffer(10, OBSERVATIONS, spaces.Discrete(2), optimize_memory_usage=True)


def test_a_pickled_buffer_holds_its_content_and_goes_on_as_if_it_had_not_been_away(make_agent):
    agent = collect(make_agent, [Diary(terminates_at=4)], 30, buffer_size=1_000)
    buffer = agent.replay_buffer
    pickled = pickle.dumps(buffer)
    assert len(pickled) < 20_000  # a thousand rows are 44,000 bytes
    restored = pickle.loads(pickled)
    step = (np.zeros((1, 3)), np.ones((1, 3)), np.array([1]), np.ones(1), np.zeros(1, bool), [{}])
    for one in (buffer, restored):
        one.add(*step)
    assert experience(restored) == experience(buffer)
    assert restored.size() == 31


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory from /proc")
def test_memory_is_taken_only_as_rows_are_written():
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    before = resident()
    actions = spaces.Discrete(2)
    buffer = TransitionBuffer(20_000_000, OBSERVATIONS, actions, "cpu")  # 800 MB
    assert resident() - before < 50e6
    step = (np.zeros((1, 3)), np.ones((1, 3)), np.array([1]), np.ones(1), np.zeros(1, bool), [{}])
    buffer.add(*step)
    assert resident() - before < 50e6
    assert len(experience(buffer)) == 1


class Counted(Diary):
    """Returns its flags as whole numbers."""

    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, int(terminated), int(truncated), info


def test_flags_of_any_type_say_the_same(make_agent):
    """Of two environments that only truncate, at different times."""
    agent = collect(make_agent, [Counted(0, truncates_at=5), Counted(1, truncates_at=7)], 80)
    assert {row[-1] for row in experience(agent.replay_buffer)} == {0.0}


def test_arrays_that_hold_nothing_are_not_there(make_agent):
    """Stable-Baselines3's names, by which somebody might look for what happened."""
    buffer = make_agent(MLE).replay_buffer
    for name in ("observations", "next_observations", "actions", "rewards", "dones"):
        assert not hasattr(buffer, name)
