"""Environments of training and of evaluation."""

import pytest

from mbrl_taskmet.runs.environments import EnvironmentConfig, evaluation_seed


def test_no_two_runs_are_evaluated_on_the_same_episodes_nor_trained_on_them():
    seeds, episodes = range(200), 10
    used = [evaluation_seed(seed, episodes) + episode for seed in seeds for episode in range(10)]
    assert len({*seeds, *used}) == 200 + 2_000


@pytest.mark.parametrize("module", ["", "mbrl_taskmet:"])
@pytest.mark.parametrize("name", ["mbrl_taskmet/NoisyCartPole-v0", "mbrl_taskmet/NoisyCartPole"])
@pytest.mark.parametrize("num_distractors", [0, 3])
def test_a_noisy_id_gets_its_distractors_once_however_it_is_spelt(module, name, num_distractors):
    env = EnvironmentConfig(module + name, num_distractors).make_one()
    assert env.observation_space.shape == (4 + num_distractors,)


@pytest.mark.parametrize("env_id", ["gymnasium:CartPole-v1", "CartPole"])
def test_other_ids_stay_as_they_are(env_id):
    assert EnvironmentConfig(env_id).base == env_id
