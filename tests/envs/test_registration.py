"""Noisy environments by id."""

from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import TimeLimit
from stable_baselines3.common.env_util import make_vec_env

from mbrl_taskmet.envs import NOISY_IDS, DistractorWrapper, Gaussian, make_noisy

CART_POLE = "mbrl_taskmet/NoisyCartPole-v0"
PENDULUM = "mbrl_taskmet/NoisyPendulum-v0"
every_id = pytest.mark.parametrize("noisy_id", NOISY_IDS)


def wrappers(env):
    """Return the types of an environment's wrappers, outermost first."""
    types = []
    while isinstance(env, gym.Wrapper):
        types.append(type(env))
        env = env.env
    return types


def trajectory(env, steps=20):
    env.action_space.seed(7)
    observations = [env.reset(seed=3)[0]]
    for _ in range(steps):
        observation, _, terminated, truncated, _ = env.step(env.action_space.sample())
        observations.append(observation)
        if terminated or truncated:
            observations.append(env.reset()[0])
    return np.stack(observations)


def test_the_ids_have_the_limits_and_thresholds_of_their_bases():
    limits = {
        noisy_id: (gym.spec(noisy_id).max_episode_steps, gym.spec(noisy_id).reward_threshold)
        for noisy_id in NOISY_IDS
    }
    assert limits == {
        "mbrl_taskmet/NoisyCartPole-v0": (500, 475.0),
        "mbrl_taskmet/NoisyAcrobot-v0": (500, -100.0),
        "mbrl_taskmet/NoisyPendulum-v0": (200, None),
        "mbrl_taskmet/NoisyInvertedPendulum-v0": (1_000, 950.0),
        "mbrl_taskmet/NoisyHopper-v0": (1_000, 3_800.0),
        "mbrl_taskmet/NoisyHalfCheetah-v0": (1_000, 4_800.0),
    }


@every_id
def test_a_registered_id_is_its_base_with_sixteen_gaussian_distractors(noisy_id):
    env, base = gym.make(noisy_id), gym.make(NOISY_IDS[noisy_id])
    expected = DistractorWrapper(base, 16)
    assert env.observation_space == expected.observation_space
    np.testing.assert_array_equal(trajectory(env), trajectory(expected))


@every_id
def test_the_time_limit_is_applied_once_and_can_be_changed(noisy_id):
    assert wrappers(gym.make(noisy_id)).count(TimeLimit) == 1
    env = gym.make(noisy_id, max_episode_steps=3)
    env.reset(seed=0)
    assert [env.step(env.action_space.sample())[3] for _ in range(3)] == [False, False, True]


@every_id
def test_every_real_dimension_of_a_registered_environment_has_a_name(noisy_id):
    env = gym.make(noisy_id, num_distractors=2)
    names = env.get_wrapper_attr("dimension_names")
    assert len(set(names)) == len(names)
    assert not [name for name in names if name.startswith("observation_")]


@pytest.mark.parametrize("env_id", ["Hopper-v5", "HalfCheetah-v5"])
def test_the_names_of_the_walkers_are_those_of_their_joints(env_id):
    """Angles come before the velocities of the same joints, without the forward position."""
    env = make_noisy(env_id, 0)
    joints = env.unwrapped.model.nv
    names = env.dimension_names
    angles = [name.removesuffix("_angle") for name in names[1 : joints - 1]]
    velocities = [name.removesuffix("_angular_velocity") for name in names[joints + 1 :]]
    assert angles == velocities
    assert names[joints - 1 : joints + 1] == ["forward_velocity", "upward_velocity"]
    for name, joint in zip(angles[1:], range(3, joints), strict=True):
        model_name = env.unwrapped.model.joint(joint).name.removesuffix("_joint")
        assert name.replace("back_", "b").replace("front_", "f") == model_name


def test_every_argument_reaches_the_distractors():
    env = gym.make(
        CART_POLE,
        num_distractors=3,
        kind="autoregressive",
        noise_std=0.5,
        permute=True,
        layout_seed=2,
        autocorrelation=0.8,
    )
    expected = DistractorWrapper(
        gym.make("CartPole-v1"), 3, "autoregressive", 0.5, True, 2, autocorrelation=0.8
    )
    assert env.get_wrapper_attr("dimension_names") == expected.dimension_names
    np.testing.assert_array_equal(trajectory(env, 5), trajectory(expected, 5))


@pytest.mark.parametrize(
    "make", [lambda spec: spec, lambda spec: EnvSpec.from_json(spec.to_json())]
)
@every_id
def test_a_registered_environment_is_remade_from_its_spec(noisy_id, make):
    env = gym.make(noisy_id, num_distractors=3, kind="sinusoid", permute=True, longest_period=50)
    again = gym.make(make(env.spec))
    assert wrappers(again) == wrappers(env)
    assert again.spec.kwargs == env.spec.kwargs
    np.testing.assert_array_equal(trajectory(again), trajectory(env))


@pytest.mark.parametrize("render_mode", [None, "rgb_array", "rgb_array_list"])
def test_the_render_mode_passes_through(render_mode):
    assert gym.make(CART_POLE, render_mode=render_mode).render_mode == render_mode
    assert make_noisy("CartPole-v1", 1, render_mode=render_mode).render_mode == render_mode


def test_vector_environments_keep_the_distractors_of_the_terminal_observation():
    """What a step returns is what the agent acts on, and an episode's end is no exception."""
    kwargs = {"num_distractors": 3, "kind": "autoregressive", "permute": True}
    vector = make_vec_env(CART_POLE, n_envs=2, seed=5, env_kwargs=kwargs)
    singles = [gym.make(CART_POLE, **kwargs) for _ in range(2)]

    seen = vector.reset()
    for i, single in enumerate(singles):
        np.testing.assert_array_equal(seen[i], single.reset(seed=5 + i)[0])
    ended = [False, False]
    while not all(ended):
        seen, _, dones, infos = vector.step(np.ones(2, dtype=np.int64))
        for i, single in enumerate(singles):
            observation, _, terminated, _, _ = single.step(1)
            assert terminated == dones[i]
            if terminated:
                np.testing.assert_array_equal(infos[i]["terminal_observation"], observation)
                observation = single.reset()[0]
                ended[i] = True
            np.testing.assert_array_equal(seen[i], observation)


def test_any_registered_environment_can_be_made_noisy():
    env = make_noisy("Pendulum-v1", 4, "redundant", 2.0, relative_noise=0.0, env_kwargs={"g": 1.0})
    assert env.unwrapped.g == 1.0
    assert wrappers(env).count(TimeLimit) == 1
    observation = env.reset(seed=0)[0]
    np.testing.assert_array_equal(observation[3:], observation[[0, 1, 2, 0]])


def test_a_registered_id_hands_arguments_to_its_base():
    env = gym.make(PENDULUM, num_distractors=4, env_kwargs={"g": 1.0})
    assert env.unwrapped.g == 1.0
    expected = make_noisy("Pendulum-v1", 4, env_kwargs={"g": 1.0})
    np.testing.assert_array_equal(trajectory(env), trajectory(expected))
    for spec in (env.spec, EnvSpec.from_json(env.spec.to_json())):
        assert gym.make(spec).unwrapped.g == 1.0


@pytest.mark.parametrize("make", [partial(gym.make, PENDULUM), partial(make_noisy, "Pendulum-v1")])
def test_an_argument_that_the_base_does_not_have_is_refused_in_a_sentence(make):
    sentence = r"^Pendulum-v1 cannot be made \(TypeError: .*'gravity'.*or correct env_kwargs\."
    with pytest.raises(ValueError, match=sentence):
        make(num_distractors=2, env_kwargs={"gravity": 1.0})


def test_made_noisy_environments_are_remade_from_their_spec():
    env = make_noisy("Acrobot-v1", 4, "action_echo", permute=True, relative_noise=0.2)
    np.testing.assert_array_equal(trajectory(gym.make(env.spec)), trajectory(env))


@pytest.mark.parametrize(
    ("env_id", "sentence"),
    [
        ("CartPol-v1", r"registered as 'CartPol-v1'\. Did you mean 'CartPole-v1'\?"),
        ("CartPole-v7", r"Did you mean 'CartPole-v[01]'\?"),
        ("mbrl_taskmet/NoisyCartPol-v0", "Did you mean 'mbrl_taskmet/NoisyCartPole-v0'"),
        ("mbrl-taskmet/NoisyCartPole-v0", "Did you mean 'mbrl_taskmet/NoisyCartPole-v0'"),
        ("zzzzzzzz-v0", r"registered as 'zzzzzzzz-v0'\.$"),
    ],
)
def test_unknown_ids_are_refused_with_the_nearest_known_one(env_id, sentence):
    with pytest.raises(ValueError, match=sentence):
        make_noisy(env_id, 4)


@pytest.mark.parametrize(
    ("argument", "suggestion"),
    [
        ("num_distractor", r" Did you mean 'num_distractors'\?"),
        ("noise", r" Did you mean 'noise_std'\?"),
        ("premute", r" Did you mean 'permute'\?"),
        ("shortest_perod", r" Did you mean 'shortest_period'\?"),
        ("g", ""),
    ],
)
@pytest.mark.parametrize(
    "make", [partial(gym.make, CART_POLE), partial(make_noisy, "CartPole-v1", 2)]
)
def test_an_unknown_argument_is_refused_by_name_and_with_the_nearest(make, argument, suggestion):
    known = r"\['shortest_period', 'longest_period'\]"
    sentence = rf"no parameter '{argument}', theirs are {known}\.{suggestion} What is meant for the"
    with pytest.raises(TypeError, match=sentence):
        make(kind="sinusoid", **{argument: 2})


def test_beside_a_process_an_unknown_argument_is_refused_with_the_nearest():
    with pytest.raises(TypeError, match=r"\['num_distractor'\]: .* Did you mean 'num_distractors'"):
        gym.make(CART_POLE, kind=Gaussian(), num_distractor=3)
