"""What a vectorised environment returns is refused where its spaces promise something else."""

import copy

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import TransformReward
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnvWrapper, VecMonitor, VecNormalize

from mbrl_taskmet import MLE
from mbrl_taskmet.agents.spaces import CheckedEnv


class Room(gym.Env):
    """Observes three numbers, or what it is given from a step on."""

    observation_space = spaces.Box(-1, 1, (3,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, wrong=None, after=0, truncates=False):
        self.wrong, self.after, self.steps, self.truncates = wrong, after, 0, truncates

    def observe(self):
        if self.wrong is not None and self.steps >= self.after:
            return self.wrong
        return np.full(3, 0.1 * (self.steps % 7), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observe(), {}

    def step(self, action):
        self.steps += 1
        ends = self.steps % 10 == 0
        return self.observe(), 1.0, ends and not self.truncates, ends and self.truncates, {}


class Foreign(VecEnvWrapper):
    """A vectorised environment whose arrays are changed from a step on."""

    def __init__(self, venv, change, after=5):
        super().__init__(venv)
        self.change, self.left = change, after

    def reset(self):
        return self.change(self.venv.reset(), None)[0] if self.left == 0 else self.venv.reset()

    def step_wait(self):
        observations, rewards, dones, infos = self.venv.step_wait()
        self.left -= 1
        if self.left <= 0:
            observations, rewards = self.change(observations, rewards)
        return observations, rewards, dones, infos


CHANGES = {
    "one-column": (lambda o, r: (o[:, :1], r), r"shape \(2, 1\) and type float32"),
    "another-row": (lambda o, r: (np.tile(o, (2, 1)), r), r"shape \(4, 3\) and type float32"),
    "text": (lambda o, r: (o.astype(str), r), "type <U32"),
    "list": (lambda o, r: (o.tolist(), r), "type list"),
}


@pytest.mark.parametrize("observation", [np.zeros(1), np.float32(0), np.zeros((1, 3))], ids=str)
@pytest.mark.parametrize("after", [0, 3, 10])
@pytest.mark.parametrize("wrapper", [lambda env: env, VecMonitor, VecNormalize])
def test_a_shape_that_would_be_broadcast_is_refused_with_its_step(
    make_agent, observation, after, wrapper
):
    env = wrapper(DummyVecEnv([Room, lambda: Room(observation, after)]))
    with pytest.raises(ValueError, match=rf"at step {after}: return real numbers of shape \(3,\)"):
        make_agent(MLE, env).learn(80)


def test_environments_are_checked_once_however_often_they_are_given(make_agent):
    env = DummyVecEnv([Room, lambda: Monitor(Room())])
    for _ in range(3):
        make_agent(MLE, env)
    bare, monitored = env.envs
    assert (type(bare), type(bare.env)) == (CheckedEnv, Room)
    assert [type(monitored), type(monitored.env), type(monitored.env.env)] == [
        Monitor, CheckedEnv, Room,
    ]  # fmt: skip


def test_a_reward_under_a_monitor_that_is_no_number_is_refused_with_its_step(make_agent):
    env = DummyVecEnv([lambda: Monitor(TransformReward(Room(), lambda reward: "x"))])
    with pytest.raises(ValueError, match="the reward 'x' at step 1: return a float"):
        make_agent(MLE, env).learn(80)


@pytest.mark.parametrize(("change", "described"), CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("after", [0, 5])
def test_arrays_of_another_shape_or_type_are_refused_with_the_step(
    make_agent, change, described, after
):
    env = Foreign(DummyVecEnv([Room, Room]), change, after)
    message = rf"observations of .*{described} at step {2 * after}: return real numbers of shape"
    with pytest.raises(ValueError, match=message):
        make_agent(MLE, env).learn(80)


def test_a_shape_that_normalising_would_broadcast_is_refused(make_agent):
    inner = Foreign(DummyVecEnv([Room, Room]), CHANGES["one-column"][0])
    with pytest.raises(ValueError, match=r"shape \(2, 1\)"):
        make_agent(MLE, VecNormalize(inner)).learn(80)


@pytest.mark.parametrize("rewards", [np.zeros((2, 1)), np.zeros(3), np.array(["1", "2"]), [1, 2]])
def test_rewards_of_another_shape_or_type_are_refused_with_the_step(make_agent, rewards):
    env = Foreign(DummyVecEnv([Room, Room]), lambda o, r: (o, rewards))
    with pytest.raises(ValueError, match=r"rewards of .* at step 10: return real numbers of shape"):
        make_agent(MLE, env).learn(80)


def test_infinity_is_found_before_normalising_clips_it(make_agent):
    def change(observations, rewards):
        return np.where(np.arange(3) == 2, np.inf, observations), rewards

    env = VecNormalize(Foreign(DummyVecEnv([Room, Room]), change), training=False)
    with pytest.raises(FloatingPointError, match=r"observation inf in dimension 2 .* at step 10:"):
        make_agent(MLE, env).learn(80)


def test_what_is_not_finite_at_the_end_of_an_episode_is_found_in_any_vectorised_environment(
    make_agent,
):
    class Spoiling(VecEnvWrapper):
        def reset(self):
            return self.venv.reset()

        def step_wait(self):
            observations, rewards, dones, infos = self.venv.step_wait()
            if dones[1]:
                infos[1]["terminal_observation"][2] = np.nan
            return observations, rewards, dones, infos

    env = Spoiling(DummyVecEnv([Room, Room]))
    with pytest.raises(FloatingPointError, match=r"observation nan in dimension 2 .* at step 20:"):
        make_agent(MLE, env).learn(80)


@pytest.mark.parametrize("truncates", [False, True])
def test_infinity_at_the_end_of_an_episode_is_found_before_it_is_clipped(make_agent, truncates):
    class Ending(Room):
        def step(self, action):
            observation, *rest = super().step(action)
            return (
                observation + np.float32([0, 0, np.inf]) if self.steps == 10 else observation
            ), *rest

    env = VecNormalize(DummyVecEnv([lambda: Ending(truncates=truncates)]))
    with pytest.raises(FloatingPointError, match=r"observation inf in dimension 2 .* at step 10:"):
        make_agent(MLE, env).learn(80)


def test_attributes_are_set_and_read_as_if_nothing_was_checked(make_agent):
    rooms = [Room(), Room()]
    env = DummyVecEnv([lambda: rooms[0], lambda: rooms[1]])
    make_agent(MLE, env)
    assert env.get_attr("steps") == [0, 0]
    env.set_attr("steps", 7, 1)
    assert [room.steps for room in rooms] == [0, 7]
    assert env.get_attr("steps") == [env.envs[0].steps, env.envs[1].steps] == [0, 7]
    assert copy.deepcopy(env).get_attr("steps") == [0, 7]
    assert not env.has_attr("no_such_thing")
