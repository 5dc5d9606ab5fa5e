"""Environments that cannot be learned are refused, and runs that go wrong are stopped."""

import re

import gymnasium as gym
import numpy as np
import pytest
from environments import BrokenPromise
from gymnasium import spaces
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from mbrl_taskmet import MLE, TaskMet

BOX = spaces.Box(-1, 1, (3,), np.float32)
DISCRETE = spaces.Discrete(2)


class Room(gym.Env):
    """An environment of any spaces, which on one occasion returns what it should not.

    It keeps to `at`, a step, as far as one of `observations`, `rewards` or `first` says so.
    """

    def __init__(self, observation_space=BOX, action_space=DISCRETE, at=None, **faults):
        self.observation_space, self.action_space = observation_space, action_space
        self.at, self.faults, self.now = at, faults, 0

    def observe(self, fault=None):
        observation = self.observation_space.sample()
        if fault is not None:
            dimension, value = fault
            observation[dimension] = value
        return observation

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observe(self.faults.get("first")), {}

    def step(self, action):
        self.now += 1
        faults = self.faults if self.now == self.at else {}
        ends = faults.get("terminates", self.now % 20 == 0)
        return self.observe(faults.get("observation")), faults.get("reward", 1.0), ends, False, {}


def one_sentence(error):
    sentence = str(error.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


@pytest.mark.parametrize(
    "space",
    [
        spaces.Dict({"position": BOX, "velocity": BOX}),
        spaces.Tuple((BOX, BOX)),
        spaces.Box(0, 255, (40, 40, 3), np.uint8),
        spaces.Box(-1, 1, (2, 3), np.float32),
        spaces.Box(-1, 1, (), np.float32),
        spaces.Discrete(5),
        spaces.MultiDiscrete([2, 3]),
        spaces.MultiBinary(4),
    ],
    ids=str,
)
def test_observations_that_are_not_a_flat_box_are_refused_with_what_would_help(make_agent, space):
    with pytest.raises(ValueError, match=r"gymnasium\.wrappers\.FlattenObservation") as error:
        make_agent(MLE, Room(observation_space=space))
    assert type(space).__name__ in one_sentence(error)


@pytest.mark.parametrize("env", ["CartPole-v1", lambda: Room(), None])
def test_what_is_no_environment_is_refused_with_what_would_help(make_agent, tmp_path, env):
    agent = make_agent(MLE)
    agent.save(tmp_path / "agent.zip")
    with pytest.raises(ValueError, match=r"pass one that gymnasium.make returns, or a VecEnv\.$"):
        agent.set_env(env)
    if env is not None:
        with pytest.raises(ValueError, match=r"pass one that gymnasium.make returns"):
            MLE.load(tmp_path / "agent.zip", env=env)


def test_a_vectorised_environment_of_gymnasium_is_refused_with_what_would_help():
    env = gym.make_vec("CartPole-v1", 2)
    with pytest.raises(ValueError, match=r"Stable-Baselines3's VecEnvs, such as .*make_vec_env"):
        MLE("MlpPolicy", env)
    env.close()


@pytest.mark.parametrize(
    "space",
    [spaces.Dict({"position": BOX, "velocity": BOX}), spaces.Discrete(5), spaces.MultiBinary(4)],
    ids=str,
)
def test_the_wrapper_that_was_named_helps(make_agent, space):
    env = gym.wrappers.FlattenObservation(Room(observation_space=space))
    make_agent(MLE, env).learn(60)


@pytest.mark.parametrize(
    "space",
    [
        spaces.MultiDiscrete([2, 2]),
        spaces.MultiBinary(2),
        spaces.Tuple((DISCRETE,)),
        spaces.Box(-1, 1, (2, 3), np.float32),
        spaces.Box(-np.inf, np.inf, (2,), np.float32),
        spaces.Box(-1, np.inf, (2,), np.float32),
        spaces.Box(0, 4, (2,), np.int64),
        spaces.Box(np.float32([0, 1]), np.float32([0, 2])),
    ],
    ids=str,
)
def test_actions_that_cannot_be_learned_are_refused_with_what_would_help(make_agent, space):
    with pytest.raises(ValueError, match=r"gymnasium\.wrappers\.TransformAction") as error:
        make_agent(TaskMet, Room(action_space=space))
    assert type(space).__name__ in one_sentence(error)


def test_a_vectorised_environment_of_unsupported_spaces_is_refused_too(make_agent):
    env = DummyVecEnv([lambda: Room(action_space=spaces.MultiBinary(2))])
    with pytest.raises(ValueError, match="TransformAction"):
        make_agent(MLE, env)


def test_an_observation_without_dimensions_is_refused(make_agent):
    with pytest.raises(ValueError, match="no dimensions"):
        make_agent(MLE, Room(observation_space=spaces.Box(-1, 1, (0,), np.float32)))


def test_an_unknown_environment_is_refused_with_the_nearest_id(make_agent):
    with pytest.raises(gym.error.NameNotFound, match="Did you mean: `CartPole`"):
        make_agent(MLE, "CartPol-v1")


@pytest.mark.parametrize("dtype", [np.float64, np.uint8, np.int32])
def test_flat_observations_of_any_type_are_learned(make_agent, dtype):
    agent = make_agent(TaskMet, Room(observation_space=spaces.Box(0, 9, (4,), dtype)))
    agent.learn(80)
    assert all(np.isfinite(value) for value in agent.last_info.values())
    agent.predict(np.zeros(4, dtype))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [5, 70])
@pytest.mark.parametrize("terminates", [False, True])
def test_a_non_finite_observation_stops_the_run_with_step_and_dimension(
    make_agent, at, value, terminates
):
    """At the end of an episode too, where what the agent sees next is the first of another."""
    agent = make_agent(MLE, Room(at=at, observation=(1, value), terminates=terminates))
    with pytest.raises(FloatingPointError, match=rf"observation {value} .* at step {at}:") as error:
        agent.learn(200)
    assert "dimension 1 (observation_1)" in one_sentence(error)
    assert agent.replay_buffer.size() == at - 1


def test_a_number_too_large_to_be_kept_is_found_where_it_comes_from(make_agent):
    space = spaces.Box(-np.inf, np.inf, (3,), np.float64)
    agent = make_agent(MLE, Room(space, at=5, observation=(1, 1e39)))
    with pytest.raises(FloatingPointError, match=r"observation 1e\+39 in dimension 1 .* step 5:"):
        agent.learn(200)


def test_a_non_finite_first_observation_stops_the_run(make_agent):
    agent = make_agent(MLE, Room(first=(2, np.nan)), learning_starts=0)
    with pytest.raises(FloatingPointError, match=r"nan in dimension 2 .* at step 0:"):
        agent.learn(10)


def test_the_dimension_is_named_as_the_environment_names_it(make_agent, make_env):
    class Broken(gym.ObservationWrapper):
        # A wrapper may have changed them, and has to say so.
        dimension_names = make_env().get_wrapper_attr("dimension_names")

        def observation(self, observation):
            return np.where(np.arange(6) == 4, np.nan, observation).astype(np.float32)

    with pytest.raises(FloatingPointError, match=r"dimension 4 \(distractor_0\)"):
        make_agent(MLE, Broken(make_env())).learn(10)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_non_finite_reward_stops_the_run_with_its_step(make_agent, value):
    agent = make_agent(MLE, Room(at=12, reward=value))
    with pytest.raises(FloatingPointError, match=f"reward {value} at step 12:") as error:
        agent.learn(200)
    one_sentence(error)


def test_a_fault_of_the_second_environment_is_found_too(make_agent):
    faulty = Room(at=9, observation=(0, np.nan))
    agent = make_agent(MLE, DummyVecEnv([Room, lambda: faulty]))
    with pytest.raises(FloatingPointError, match=r"dimension 0 .* at step 18:"):
        agent.learn(200)


@pytest.mark.parametrize("rate", ["learning_rate", "model_learning_rate"])
def test_learning_that_diverges_stops_the_run_and_says_what_is_not_finite(
    agent_class, make_agent, rate
):
    agent = make_agent(agent_class, **{rate: 1e30})
    with pytest.raises(FloatingPointError, match="lower the learning rates") as error:
        agent.learn(400)
    what = r"^(\w+_loss is (nan|inf)|What the policy acts by is not finite) after \d+ updates"
    assert re.match(what, one_sentence(error))
    assert agent.num_timesteps < 300


def test_a_loss_that_is_not_finite_is_named(make_agent):
    agent = make_agent(MLE, exploration_epsilon=1.0).learn(60)
    agent.learner.state = agent.learner.state._replace(model=agent.learner.state.model * np.nan)
    agent.train(1, 16)
    with pytest.raises(FloatingPointError, match=r"^model_loss is nan after 11 updates \(60 steps"):
        agent.dump_logs()


@pytest.mark.parametrize(
    "observation",
    [np.zeros(1), np.float32(0), np.zeros((1, 3)), np.zeros(4), np.zeros(3, complex), "abc"],
    ids=lambda o: f"{type(o).__name__}{np.shape(o)}",
)
@pytest.mark.parametrize("after", [0, 3])
def test_observations_of_another_shape_or_type_are_refused(make_agent, observation, after):
    with pytest.raises(ValueError, match=rf"at step {after}: return real numbers of shape \(3,\)"):
        make_agent(MLE, BrokenPromise(observation, after)).learn(10)


@pytest.mark.parametrize("wrapper", [lambda env: env, Monitor], ids=["bare", "monitored"])
@pytest.mark.parametrize("reward", [None, "much", [1.0], 1j], ids=repr)
def test_rewards_that_are_not_numbers_are_refused(make_agent, reward, wrapper):
    class Wrong(gym.Env):
        observation_space = spaces.Box(-1, 1, (3,), np.float32)
        action_space = spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            return np.zeros(3, np.float32), {}

        def step(self, action):
            return np.zeros(3, np.float32), reward, False, False, {}

    with pytest.raises(ValueError, match="at step 1: return a float"):
        make_agent(MLE, wrapper(Wrong())).learn(10)


@pytest.mark.parametrize("value", [np.nan, np.float64(1e39)])
def test_values_that_are_not_finite_in_single_precision_are_not_acted_on(make_agent, value):
    agent = make_agent(MLE)
    for deterministic in (True, False):
        with pytest.raises(FloatingPointError, match="not finite in dimension 0") as error:
            agent.predict(np.full(6, value), deterministic=deterministic)
        assert error.type is FloatingPointError


def test_an_environment_is_asked_no_more_than_stable_baselines3_asks_of_it(make_agent):
    class Plain(Room):
        def reset(self, seed=None):
            return super().reset(seed=seed)

    assert make_agent(MLE, Plain()).learn(60).num_timesteps == 60
