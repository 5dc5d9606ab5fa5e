"""Environments of training and of evaluation."""

from mbrl_taskmet.runs.environments import evaluation_seed


def test_no_two_runs_are_evaluated_on_the_same_episodes_nor_trained_on_them():
    seeds, episodes = range(200), 10
    used = [evaluation_seed(seed, episodes) + episode for seed in seeds for episode in range(10)]
    assert len({*seeds, *used}) == 200 + 2_000
