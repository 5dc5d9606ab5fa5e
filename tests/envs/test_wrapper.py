"""The wrapper: what it leaves alone, what it adds, and where."""

import copy
import pickle
import re
import warnings

import gymnasium as gym
import numpy as np
import pytest
from environments import BrokenPromise
from gymnasium.utils.env_checker import check_env as check_gymnasium
from gymnasium.wrappers import DtypeObservation, FlattenObservation, TimeAwareObservation
from stable_baselines3.common.env_checker import check_env as check_stable_baselines
from stable_baselines3.common.vec_env import DummyVecEnv

from mbrl_taskmet.envs import (
    DISTRACTOR_KINDS,
    ActionEcho,
    Autoregressive,
    DistractorWrapper,
    Gaussian,
    Redundant,
)

CART_POLE_NAMES = ["cart_position", "cart_velocity", "pole_angle", "pole_angular_velocity"]
K = 5


def noisy(env_id="CartPole-v1", num_distractors=K, **arguments):
    return DistractorWrapper(gym.make(env_id), num_distractors, **arguments)


def rollout(env, seed=0, steps=60):
    """Return what a fixed sequence of actions leads to, through the ends of episodes."""
    env.action_space.seed(7)
    observations = [env.reset(seed=seed)[0]]
    for _ in range(steps):
        observation, _, terminated, truncated, _ = env.step(env.action_space.sample())
        observations.append(observation)
        if terminated or truncated:
            observations.append(env.reset()[0])
    return np.stack(observations)


class OwnSpace(gym.Env):
    """An environment with a given observation space."""

    action_space = gym.spaces.Discrete(2)

    def __init__(self, observation_space):
        self.observation_space = observation_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(self.observation_space.shape, np.int64), {}

    def step(self, action):
        return np.ones(self.observation_space.shape, np.int64), 0.0, False, False, {}


# What `projected` says of its mixtures stands in test_projected.py.
SEPARATE_KINDS = [kind for kind in DISTRACTOR_KINDS if kind != "projected"]
every_kind = pytest.mark.parametrize("kind", DISTRACTOR_KINDS)
every_separate_kind = pytest.mark.parametrize("kind", SEPARATE_KINDS)
every_base = pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])


@every_kind
@every_base
def test_same_seed_gives_the_same_trajectory_and_another_seed_another(kind, env_id):
    env = noisy(env_id, kind=kind)
    first = rollout(env)
    np.testing.assert_array_equal(first, rollout(env))
    np.testing.assert_array_equal(first, rollout(noisy(env_id, kind=kind)))
    assert (first[:20, -K:] != rollout(env, seed=1)[:20, -K:]).any(axis=0).all()


@every_kind
def test_permuting_only_moves_columns(kind):
    plain, permuted = noisy(kind=kind), noisy(kind=kind, permute=True)
    assert permuted.dimension_names != plain.dimension_names
    columns = [plain.dimension_names.index(name) for name in permuted.dimension_names]
    np.testing.assert_array_equal(rollout(permuted), rollout(plain)[:, columns])
    np.testing.assert_array_equal(permuted.distractor_mask, plain.distractor_mask[columns])
    for bound in ("low", "high"):
        np.testing.assert_array_equal(
            getattr(permuted.observation_space, bound),
            getattr(plain.observation_space, bound)[columns],
        )


def test_permuted_places_follow_from_the_layout_seed_and_not_from_the_kind():
    masks = [
        noisy(kind=kind, permute=True, num_distractors=16, layout_seed=seed).distractor_mask
        for seed in (0, 1)
        for kind in SEPARATE_KINDS
    ]
    assert len({mask.tobytes() for mask in masks[: len(SEPARATE_KINDS)]}) == 1
    assert len({mask.tobytes() for mask in masks}) == 2


@every_separate_kind
def test_real_dimensions_are_those_of_the_bare_environment_after_every_seeded_reset(kind):
    """CartPole draws at its resets alone, which come before the distractors' draws."""
    env, bare = noisy(kind=kind, permute=True), gym.make("CartPole-v1")
    for seed in (0, 1):
        observation, expected = env.reset(seed=seed)[0], bare.reset(seed=seed)[0]
        terminated = False
        while not terminated:
            np.testing.assert_array_equal(observation[~env.distractor_mask], expected)
            observation, reward, terminated, *rest = env.step(1)
            expected, *bare_rest = bare.step(1)
            assert [reward, terminated, *rest] == bare_rest
        np.testing.assert_array_equal(observation[~env.distractor_mask], expected)


def test_distractors_share_the_generator_of_the_environment():
    """So a later reset without a seed starts elsewhere than that of the bare environment."""
    env, bare = noisy(), gym.make("CartPole-v1")
    env.reset(seed=0)
    bare.reset(seed=0)
    assert env.np_random is env.unwrapped.np_random
    assert (env.reset()[0][:4] != bare.reset()[0]).any()


class OwnGenerator(OwnSpace):
    """Keeps a generator of its own, and leaves Gymnasium's alone or seeds it by another seed."""

    def __init__(self, space, derives):
        super().__init__(space)
        self.derives = derives

    def reset(self, *, seed=None, options=None):
        if seed is not None and self.derives:
            gym.Env.reset(self, seed=seed + 1_000)
        return self.observation_space.low, {}


@pytest.mark.parametrize("derives", [False, True])
def test_a_seed_decides_the_distractors_where_the_environment_does_not_pass_it_on(derives):
    box = gym.spaces.Box(-1, 1, (2,), np.float32)
    first, second = (DistractorWrapper(OwnGenerator(box, derives), K) for _ in range(2))
    starts = {seed: first.reset(seed=seed)[0][2:] for seed in (3, 4)}
    assert (starts[3] != starts[4]).all()
    assert (first.reset()[0][2:] != starts[4]).all()
    for seed in (4, 3, 3):
        np.testing.assert_array_equal(second.reset(seed=seed)[0][2:], starts[seed])
    generator = np.random.default_rng(1_003 if derives else 3)
    np.testing.assert_array_equal(starts[3], generator.normal(size=K).astype(np.float32))


def test_an_episode_draws_new_distractors():
    env = noisy(kind="sinusoid")
    assert np.all(env.reset(seed=0)[0][4:] != env.reset()[0][4:])


def test_training_and_evaluation_environments_share_a_layout():
    """Sinusoids show it: the recurrence of one environment holds in another."""
    train, evaluation, other = (noisy(kind="sinusoid", layout_seed=seed) for seed in (0, 0, 1))

    def frequencies(env, seed):
        x = rollout(env, seed, steps=6)[:, 4:].astype(float)
        return ((x[2:] + x[:-2]) * x[1:-1]).sum(0) / (x[1:-1] ** 2).sum(0)

    np.testing.assert_allclose(frequencies(train, 0), frequencies(evaluation, 1), atol=1e-5)
    assert np.abs(frequencies(train, 0) - frequencies(other, 0)).max() > 1e-3


@every_kind
@pytest.mark.parametrize("permute", [False, True])
def test_no_distractors_is_the_identity(kind, permute):
    env, bare = noisy(num_distractors=0, kind=kind, permute=permute), gym.make("CartPole-v1")
    assert env.observation_space == bare.observation_space
    assert env.dimension_names == CART_POLE_NAMES
    np.testing.assert_array_equal(rollout(env), rollout(bare))


@every_separate_kind
@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "InvertedPendulum-v5"])
def test_observations_lie_in_a_space_that_keeps_type_and_real_bounds(kind, env_id):
    env = noisy(env_id, kind=kind, permute=True, noise_std=3.0)
    space, real = env.observation_space, env.env.observation_space
    assert space.dtype == real.dtype
    assert space.shape == (real.shape[0] + K,)
    np.testing.assert_array_equal(space.low[~env.distractor_mask], real.low)
    np.testing.assert_array_equal(space.high[~env.distractor_mask], real.high)
    assert all(space.contains(observation) for observation in rollout(env))


@every_kind
def test_only_bounded_distractors_have_finite_bounds(kind):
    env = noisy(kind=kind, noise_std=3.0)
    bound = 3 * np.sqrt(2) if kind == "sinusoid" else np.inf
    np.testing.assert_allclose(env.observation_space.high[4:], bound)
    np.testing.assert_allclose(env.observation_space.low[4:], -bound)


def complaints(env):
    """Return what the environment checkers warn of, without the name of the environment."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_gymnasium(env, skip_render_check=True)
        check_stable_baselines(env)
    return {re.sub("<.*>", "", str(warning.message)) for warning in caught}


@every_kind
@every_base
@pytest.mark.parametrize("permute", [False, True])
def test_the_environment_checkers_say_nothing_new(kind, env_id, permute):
    """But for distractors being unbounded, of which Gymnasium warns and which they are."""
    added = complaints(noisy(env_id, kind=kind, permute=permute)) - complaints(gym.make(env_id))
    assert all("infinity" in complaint for complaint in added)
    assert kind != "sinusoid" or not added


def test_observations_are_not_overwritten_by_later_steps():
    env = noisy()
    first = env.reset(seed=0)[0]
    kept = first.copy()
    env.step(0)
    np.testing.assert_array_equal(first, kept)


def test_distractors_are_not_rounded_where_an_environment_returns_integers():
    env = DistractorWrapper(OwnSpace(gym.spaces.Box(0, 1, (2,), np.float32)), K)
    observation = env.reset(seed=0)[0]
    assert observation.dtype == np.float32
    assert (observation[2:] % 1 != 0).all()


@every_kind
def test_observations_may_be_lists(kind):
    class Lists(OwnSpace):
        def reset(self, **arguments):
            observation, info = super().reset(**arguments)
            return observation.tolist(), info

        def step(self, action):
            observation, *rest = super().step(action)
            return observation.tolist(), *rest

    space = gym.spaces.Box(0, 1, (2,), np.float32)
    lists, arrays = (DistractorWrapper(env(space), K, kind=kind) for env in (Lists, OwnSpace))
    np.testing.assert_array_equal(rollout(lists), rollout(arrays))


def test_a_process_is_given_observations_of_the_type_of_their_space():
    given = []

    class Watching(Gaussian):
        def start(self, layout, observation, rng):
            given.append(observation)
            return super().start(layout, observation, rng)

        def advance(self, layout, state, action, observation, rng):
            given.append(observation)
            return super().advance(layout, state, action, observation, rng)

    box = gym.spaces.Box(0, 1, (2,), np.float32)
    rollout(DistractorWrapper(OwnSpace(box), K, Watching()), steps=2)  # which returns integers
    assert [observation.dtype for observation in given] == [np.float32] * 3


@pytest.mark.parametrize(
    ("env_id", "names"),
    [
        ("CartPole-v1", CART_POLE_NAMES),
        ("Pendulum-v1", ["cos_angle", "sin_angle", "angular_velocity"]),
        ("MountainCarContinuous-v0", ["car_position", "car_velocity"]),
        ("MountainCar-v0", ["car_position", "car_velocity"]),
        (
            "InvertedPendulum-v5",
            ["cart_position", "pole_angle", "cart_velocity", "pole_angular_velocity"],
        ),
    ],
)
def test_real_dimensions_are_named_where_known_and_distractors_numbered(env_id, names):
    env = noisy(env_id, num_distractors=2)
    assert env.dimension_names == [*names, "distractor_0", "distractor_1"]
    assert all(type(name) is str for name in env.dimension_names)
    np.testing.assert_array_equal(env.distractor_mask, [False] * len(names) + [True] * 2)


def test_acrobots_names_say_what_is_observed():
    env = noisy("Acrobot-v1", num_distractors=0)
    observation, _ = env.reset(seed=0)
    first, second, *velocities = env.unwrapped.state
    expected = {
        "cos_angle_1": np.cos(first), "sin_angle_1": np.sin(first),
        "cos_angle_2": np.cos(second), "sin_angle_2": np.sin(second),
        "angular_velocity_1": velocities[0], "angular_velocity_2": velocities[1],
    }  # fmt: skip
    assert env.dimension_names == list(expected)
    np.testing.assert_allclose(observation, list(expected.values()), rtol=1e-6)


def test_distractors_follow_each_step_of_the_environment():
    env = DistractorWrapper(gym.make("CartPole-v1"), 4, Redundant(relative_noise=0.0))
    env.reset(seed=0)
    observed = np.array([env.step(0)[0] for _ in range(5)])
    np.testing.assert_array_equal(observed[:, 4:], observed[:, :4])
    env = DistractorWrapper(gym.make("CartPole-v1"), 3, ActionEcho(relative_noise=0.0))
    env.reset(seed=0)
    actions = [0, 1, 1, 0, 1, 0]
    echoes = np.array([env.step(action)[0][4:] for action in actions])
    assert len(np.unique(echoes, axis=0)) == 2
    np.testing.assert_array_equal(echoes[actions.index(0)], echoes[3])
    np.testing.assert_array_equal(echoes[actions.index(1)], echoes[4])


def test_unknown_dimensions_are_numbered_even_where_a_wrapper_added_one():
    box = gym.spaces.Box(0, 1, (2,), np.float32)
    assert DistractorWrapper(OwnSpace(box), 0).dimension_names == ["observation_0", "observation_1"]
    timed = DistractorWrapper(TimeAwareObservation(gym.make("CartPole-v1")), 1)
    assert timed.dimension_names == [*(f"observation_{i}" for i in range(5)), "distractor_0"]


def test_environments_may_name_their_own_dimensions():
    class Named(OwnSpace):
        dimension_names = ("height", "speed")

    env = DistractorWrapper(Named(gym.spaces.Box(0, 1, (2,), np.float32)), 1)
    assert env.dimension_names == ["height", "speed", "distractor_0"]


@pytest.mark.parametrize("names", [lambda: ["height", "speed"], "ab", ("x", "x"), (1, 2)])
def test_what_are_not_different_names_is_refused(names):
    env = OwnSpace(gym.spaces.Box(0, 1, (2,), np.float32))
    env.dimension_names = names
    with pytest.raises(ValueError, match="must be different names"):
        DistractorWrapper(env, 1)


def test_wrapping_twice_mixes_kinds_under_one_mask_and_one_numbering():
    env = DistractorWrapper(noisy(num_distractors=2), 3, kind="sinusoid", permute=True)
    names, mask = np.array(env.dimension_names), env.distractor_mask
    assert names[~mask].tolist() == CART_POLE_NAMES
    assert names[mask].tolist() == [f"distractor_{i}" for i in names[mask].argsort().argsort()]
    assert sorted(names[mask]) == [f"distractor_{i}" for i in range(5)]
    np.testing.assert_array_equal(np.isfinite(env.observation_space.high)[mask].sum(), 3)


def test_a_mask_that_no_longer_fits_is_refused():
    with pytest.raises(ValueError, match="add all distractors before a wrapper that changes"):
        DistractorWrapper(TimeAwareObservation(noisy()), 1)


def test_names_and_mask_are_read_through_outer_wrappers_and_vector_environments():
    env = noisy(permute=True)
    outer = gym.wrappers.TimeLimit(env, 10)
    assert outer.get_wrapper_attr("dimension_names") == env.dimension_names
    vector = DummyVecEnv([lambda: gym.wrappers.TimeLimit(noisy(permute=True), 10)])
    assert vector.get_attr("dimension_names") == [env.dimension_names]
    np.testing.assert_array_equal(vector.get_attr("distractor_mask")[0], env.distractor_mask)


def test_the_mask_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        noisy().distractor_mask[0] = True


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
@every_kind
def test_a_copy_made_within_an_episode_continues_it_exactly(kind, duplicate):
    env = noisy(kind=kind)
    env.reset(seed=0)
    env.step(0)
    other = duplicate(env)
    for action in (1, 0, 1):
        np.testing.assert_array_equal(env.step(action)[0], other.step(action)[0])


def test_a_wrapped_environment_is_remade_from_its_spec_with_all_arguments():
    env = noisy(
        kind=Autoregressive(0.5), noise_std=0.3, permute=True, layout_seed=4, num_distractors=3
    )
    again = gym.make(env.spec)
    assert again.spec == env.spec
    np.testing.assert_array_equal(rollout(again), rollout(env))


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"num_distractors": -1}, ValueError, "num_distractors must not be negative, got -1"),
        ({"num_distractors": 2.0}, TypeError, "num_distractors must be an integer, got 2.0"),
        ({"num_distractors": True}, TypeError, "num_distractors must be an integer, got True"),
        ({"noise_std": -0.5}, ValueError, "noise_std must be finite and not negative, got -0.5"),
        ({"noise_std": float("nan")}, ValueError, "noise_std must be finite"),
        ({"noise_std": "loud"}, TypeError, "noise_std must be a number, got 'loud'"),
        ({"layout_seed": None}, TypeError, "layout_seed must be an integer, got None"),
        ({"permute": "x"}, TypeError, "permute must be a bool, got 'x': pass True or False"),
        ({"kind": "sinusiod"}, ValueError, "Did you mean 'sinusoid'"),
    ],
)
def test_bad_arguments_are_refused_in_a_sentence(arguments, error, sentence):
    with pytest.raises(error, match=sentence):
        noisy(**arguments)


def test_numpy_integers_are_integers():
    assert noisy(num_distractors=np.int64(2)).observation_space.shape == (6,)


@pytest.mark.parametrize(
    "space", [gym.spaces.Discrete(3), gym.spaces.Box(0, 1, (2, 2)), gym.spaces.Box(0, 1, ())]
)
def test_other_observation_spaces_are_refused_with_the_wrapper_that_helps(space):
    with pytest.raises(ValueError, match=r"one-dimensional Box, got .*FlattenObservation") as error:
        DistractorWrapper(OwnSpace(space), K)
    assert str(space) in str(error.value)
    helped = DtypeObservation(FlattenObservation(OwnSpace(space)), np.float32)
    DistractorWrapper(helped, K)


def test_integer_observations_are_refused_with_the_wrapper_that_helps():
    env = OwnSpace(gym.spaces.Box(0, 255, (3,), np.uint8))
    with pytest.raises(ValueError, match=r"floating-point observations, got .*DtypeObservation"):
        DistractorWrapper(env, K)
    assert DistractorWrapper(DtypeObservation(env, np.float32), K).observation_space.shape == (8,)


@every_kind
def test_integer_observations_stay_as_they_are_where_nothing_is_added(kind):
    env = OwnSpace(gym.spaces.Box(0, 255, (3,), np.uint8))
    assert DistractorWrapper(env, 0, kind=kind).observation_space == env.observation_space


@every_kind
@pytest.mark.parametrize("observation", [np.zeros(1), np.zeros((1, 3)), "x", np.zeros(3, complex)])
@pytest.mark.parametrize("after", [0, 2])
def test_what_the_space_does_not_promise_is_refused_with_its_step(kind, observation, after):
    env = DistractorWrapper(BrokenPromise(observation, after), K, kind=kind)
    with pytest.raises(ValueError, match=rf"at step {after}: return real numbers of shape \(3,\)"):
        rollout(env, steps=3)
