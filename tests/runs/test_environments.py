"""Environments of training and of evaluation."""

import numpy as np
import pytest

from mbrl_taskmet.envs import make_noisy
from mbrl_taskmet.runs.environments import EnvironmentConfig, evaluation_seed


def test_no_two_runs_are_evaluated_on_the_same_episodes_nor_trained_on_them():
    seeds, episodes = range(200), 10
    used = [evaluation_seed(seed, episodes) + episode for seed in seeds for episode in range(10)]
    assert len({*seeds, *used}) == 200 + 2_000


def test_each_episode_of_an_evaluation_has_the_next_seed_after_that_of_evaluation():
    config, seed, episodes = EnvironmentConfig(num_distractors=2), 5, 3
    found = config.make_for_evaluation(episodes, seed).reset()
    first = evaluation_seed(seed, episodes)
    expected = [config.make_one().reset(seed=first + i)[0] for i in range(episodes)]
    np.testing.assert_array_equal(found, expected)
    assert (found != config.make(episodes, seed).reset()).all()


def test_every_setting_reaches_the_environment():
    config = EnvironmentConfig("Acrobot-v1", 3, "autoregressive", 0.5, True, 9)
    expected = make_noisy("Acrobot-v1", 3, "autoregressive", 0.5, True, 9)
    one, vectorised = config.make_one(), config.make(1, 0)
    for attribute in ("dimension_names", "distractor_mask"):
        wanted = list(getattr(expected, attribute))
        assert list(getattr(one, attribute)) == wanted
        assert list(vectorised.get_attr(attribute)[0]) == wanted
    start = expected.reset(seed=0)[0]
    np.testing.assert_array_equal(one.reset(seed=0)[0], start)
    np.testing.assert_array_equal(vectorised.reset()[0], start)
    for action in (0, 2, 1, 0):
        following = expected.step(action)[0]
        np.testing.assert_array_equal(one.step(action)[0], following)
        np.testing.assert_array_equal(vectorised.step(np.array([action]))[0][0], following)


@pytest.mark.parametrize("module", ["", "mbrl_taskmet:"])
@pytest.mark.parametrize("name", ["mbrl_taskmet/NoisyCartPole-v0", "mbrl_taskmet/NoisyCartPole"])
@pytest.mark.parametrize("num_distractors", [0, 3])
def test_a_noisy_id_gets_its_distractors_once_however_it_is_spelt(module, name, num_distractors):
    env = EnvironmentConfig(module + name, num_distractors).make_one()
    assert env.observation_space.shape == (4 + num_distractors,)


@pytest.mark.parametrize("env_id", ["gymnasium:CartPole-v1", "CartPole"])
def test_other_ids_stay_as_they_are(env_id):
    assert EnvironmentConfig(env_id).base == env_id
