"""Real dimensions and noise turned into one another."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from mbrl_taskmet.envs import DistractorWrapper, Projected, Site

K = 5
STD = 0.7
every_place = pytest.mark.parametrize("permute", [False, True])


def projected(env_id="CartPole-v1", num_distractors=K, **arguments):
    return DistractorWrapper(gym.make(env_id), num_distractors, "projected", STD, **arguments)


def episode(env, seed=0, steps=8):
    """The observations of one action taken again and again, shape (steps + 1, n)."""
    observations = [env.reset(seed=seed)[0]]
    action = env.action_space.sample() * 0 + 1
    observations += [env.step(action)[0] for _ in range(steps)]
    return np.stack(observations).astype(np.float64)


@every_place
@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "InvertedPendulum-v5"])
def test_turned_back_the_real_dimensions_are_those_of_the_bare_environment(env_id, permute):
    env = projected(env_id, permute=permute)
    bare = episode(gym.make(env_id))
    unmixed = episode(env) @ env.mixing
    np.testing.assert_allclose(unmixed[:, : bare.shape[1]], bare, atol=1e-5)


@every_place
def test_turned_back_the_rest_is_the_noise_of_gaussian_distractors(permute):
    env = projected(permute=permute)
    noise = (episode(env) @ env.mixing)[:, 4:]
    plain = DistractorWrapper(gym.make("CartPole-v1"), K, "gaussian", STD)
    np.testing.assert_allclose(noise, episode(plain)[:, 4:], atol=1e-5)


@every_place
def test_the_mixing_is_orthogonal_and_leaves_no_dimension_to_itself(permute):
    mixing = projected(permute=permute).mixing
    np.testing.assert_allclose(mixing @ mixing.T, np.eye(4 + K), atol=1e-12)
    assert np.abs(mixing).max() < 0.95
    assert np.linalg.norm(mixing[:, :4], axis=1).min() > 0.05


def test_the_mixing_is_decided_by_the_layout_seed_alone():
    first, again, other = (projected(layout_seed=seed).mixing for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1
    remade = gym.make(projected(layout_seed=1).spec)
    np.testing.assert_array_equal(remade.get_wrapper_attr("mixing"), other)


def test_rotations_are_uniform():
    """The entries of a uniform rotation in d dimensions have mean 0 and variance 1 / d."""
    site = Site(2, STD, Box(-np.inf, np.inf, (2,)), Discrete(2))
    rng = np.random.default_rng(0)
    drawn = np.stack([Projected().layout(site, rng).matrix for _ in range(4_000)])
    tolerance = 5 / np.sqrt(len(drawn))
    np.testing.assert_allclose(drawn.mean(0), 0, atol=tolerance / 2)
    np.testing.assert_allclose((drawn**2).mean(0), 1 / 4, atol=tolerance)


def test_no_mixture_is_a_distractor_or_bounded_or_named_as_what_it_was():
    env = projected("Pendulum-v1")
    assert not env.distractor_mask.any()
    assert env.dimension_names == [f"mixture_{i}" for i in range(3 + K)]
    assert env.observation_space == Box(-np.inf, np.inf, (3 + K,), np.float32)
    assert projected("InvertedPendulum-v5").observation_space.dtype == np.float64


def test_without_noise_nothing_is_mixed():
    env = projected(num_distractors=0)
    assert env.mixing is None
    assert env.dimension_names[0] == "cart_position"


def test_noise_beside_mixtures_is_a_distractor_and_noise_among_them_is_not():
    beside = DistractorWrapper(projected(), 2)
    assert beside.distractor_mask.tolist() == [False] * (4 + K) + [True] * 2
    assert beside.dimension_names[-3:] == [f"mixture_{3 + K}", "distractor_0", "distractor_1"]
    among = DistractorWrapper(DistractorWrapper(gym.make("CartPole-v1"), 2), 3, "projected")
    assert not among.distractor_mask.any()
    assert among.dimension_names == [f"mixture_{i}" for i in range(9)]


def test_the_columns_of_the_mixing_that_are_distractors_are_told():
    np.testing.assert_array_equal(projected().mixed_distractors, np.arange(4 + K) >= 4)
    among = DistractorWrapper(DistractorWrapper(gym.make("CartPole-v1"), 2), 3, "projected")
    np.testing.assert_array_equal(among.mixed_distractors, np.arange(9) >= 4)
    assert DistractorWrapper(gym.make("CartPole-v1"), 2).mixed_distractors is None


def test_a_mixing_of_another_size_is_refused():
    class Wrong(Projected):
        def mixing(self, layout):
            return np.eye(3)

    with pytest.raises(ValueError, match=r"shape \(3, 3\): return one of shape \(9, 9\) from mix"):
        DistractorWrapper(gym.make("CartPole-v1"), K, Wrong())


def test_neither_the_mixing_nor_the_mask_can_be_changed():
    env = projected()
    for array in (env.mixing, env.mixed_distractors, env.distractor_mask):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_a_full_metric_can_see_the_real_dimensions_alone():
    env = projected()
    metric = env.mixing @ np.diag([1.0] * 4 + [0.0] * K) @ env.mixing.T
    seen, real = episode(env), episode(gym.make("CartPole-v1"))
    found = np.einsum("ti,ij,tj->t", seen, metric, seen)
    np.testing.assert_allclose(found, (real**2).sum(1), rtol=1e-4)


def test_a_diagonal_metric_weighs_the_noise_whatever_its_weights():
    """In the original dimensions its weights are means of all its weights, none of them small."""
    shares = projected(num_distractors=16).mixing ** 2  # each row and column sums to one
    assert shares[:, 4:].sum(1).min() > 0.5
