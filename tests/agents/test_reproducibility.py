"""One seed decides a run, and a run that was saved goes on as if nothing had happened."""

import copy
import pickle
import random

import numpy as np
import pytest
import torch
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from mbrl_taskmet import MLE, TaskMet

STEPS = 140


def stir_global_generators(*_):
    """Draw from every generator that is not ours."""
    torch.rand(3)
    np.random.rand(3)  # noqa: NPY002
    random.random()
    return True


def test_the_same_seed_gives_the_same_run(
    agent_class, make_agent, make_either, snapshot, differences
):
    runs = [snapshot(make_agent(agent_class, make_either()).learn(STEPS)) for _ in range(2)]
    assert differences(*runs) == []


def test_another_seed_gives_another_run(agent_class, make_agent, snapshot, differences):
    runs = [snapshot(make_agent(agent_class, seed=seed).learn(STEPS)) for seed in (0, 1)]
    found = differences(*runs)
    for name in ("model", "critic", "target_critic", "generator"):
        assert f"/parameters/learner/{name}" in found
    assert "/parameters/policy/_extra_state" in found  # the generator of actions
    assert "/replay" in found


def test_global_generators_do_not_influence_a_run(agent_class, make_agent, snapshot, differences):
    undisturbed = make_agent(agent_class).learn(STEPS)
    disturbed = make_agent(agent_class)
    torch.manual_seed(123)
    np.random.seed(123)  # noqa: NPY002
    disturbed.learn(STEPS, callback=stir_global_generators)
    assert differences(snapshot(undisturbed), snapshot(disturbed)) == []


def test_runs_without_a_seed_differ(make_agent, snapshot, differences):
    runs = [snapshot(make_agent(MLE, seed=None)) for _ in range(2)]
    assert "/parameters/learner/critic" in differences(*runs)


def continued(agent, folder, env):
    """The agent as it comes back from its files."""
    agent.save(folder / "agent.zip")
    agent.save_replay_buffer(folder / "replay.pkl")
    loaded = type(agent).load(folder / "agent.zip", env=env, force_reset=False, device="cpu")
    loaded.load_replay_buffer(folder / "replay.pkl")
    return loaded


@pytest.mark.parametrize("interrupted_at", [30, 90], ids=["at-random-steps", "while-learning"])
def test_saving_loading_and_continuing_is_the_run_that_was_never_interrupted(
    agent_class, make_agent, make_either, snapshot, differences, tmp_path, interrupted_at
):
    whole = make_agent(agent_class, make_either()).learn(STEPS)
    begun = make_agent(agent_class, make_either()).learn(interrupted_at)
    resumed = continued(begun, tmp_path, copy.deepcopy(begun.get_env()))
    stir_global_generators()
    resumed.learn(STEPS - interrupted_at, reset_num_timesteps=False)
    assert differences(snapshot(whole), snapshot(resumed)) == []
    np.testing.assert_array_equal(whole._last_obs, resumed._last_obs)


def test_continuing_works_through_pickled_normalised_and_vectorised_environments(
    make_agent, make_env, snapshot, differences, tmp_path
):
    """With rewards as they are: `VecNormalize` forgets its running returns when it is saved."""

    def make():
        env = make_vec_env(make_env, 2, seed=0, env_kwargs={"kind": "autoregressive"})
        return make_agent(TaskMet, VecNormalize(env, norm_reward=False), gradient_steps=-1)

    whole, begun = make().learn(STEPS), make().learn(90)
    begun.get_env().save(tmp_path / "normalization.pkl")
    environments = pickle.loads(pickle.dumps(begun.get_env().venv))
    env = VecNormalize.load(tmp_path / "normalization.pkl", environments)
    resumed = continued(begun, tmp_path, env)
    resumed.learn(STEPS - 90, reset_num_timesteps=False)
    assert differences(snapshot(whole), snapshot(resumed)) == []


def test_saving_does_not_change_a_run(agent_class, make_agent, snapshot, differences, tmp_path):
    def save(local, _):
        local["self"].save(tmp_path / "agent.zip")
        local["self"].save_replay_buffer(tmp_path / "replay.pkl")
        return True

    undisturbed, saving = make_agent(agent_class).learn(90), make_agent(agent_class)
    saving.learn(90, callback=save)
    assert differences(snapshot(undisturbed), snapshot(saving)) == []
