"""The same agents on a GPU, where there is one: the numbers are those of the processor.

Nothing of this can be tested without a GPU, which continuous integration does not have.
"""

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves, tree_map

from mbrl_taskmet import TaskMet

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def moved_back(agent):
    """Tensors of the learner and the policy, all in main memory."""
    return tree_map(lambda tensor: tensor.cpu(), agent.get_parameters())


def test_learning_takes_place_there_and_what_is_read_is_in_main_memory(
    agent_class, make_agent, make_either
):
    agent = make_agent(agent_class, make_either(), device="cuda").learn(120)
    assert {leaf.device.type for leaf in tree_leaves(agent.learner.state)} == {"cuda"}
    assert all(np.isfinite(value) for value in agent.last_info.values())
    observation = agent.observation_space.sample()
    assert agent.action_space.contains(agent.predict(observation, deterministic=True)[0])
    assert np.isfinite(agent.metric_weights().weights).all()


def test_an_update_is_that_of_the_processor(agent_class, make_agent, make_either):
    agent = make_agent(agent_class, make_either()).learn(120)
    drawn = agent._sample_batches(16)
    arguments = tree_map(lambda t: t.double(), (agent.learner.state, *drawn))
    moved = tree_map(lambda t: t.cuda(), arguments)
    expected, found = agent.learner.update(*arguments), agent.learner.update(*moved)
    # Conjugate gradients let rounding grow, and each device adds up in an order of its own.
    torch.testing.assert_close(tree_map(lambda t: t.cpu(), found), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("first", "second"), [("cuda", "cpu"), ("cpu", "cuda")])
def test_a_checkpoint_goes_on_on_the_other_device(make_agent, make_either, tmp_path, first, second):
    agent = make_agent(TaskMet, make_either(), device=first).learn(120)
    agent.save(tmp_path / "agent.zip")
    agent.save_replay_buffer(tmp_path / "replay.pkl")
    loaded = TaskMet.load(tmp_path / "agent.zip", env=agent.get_env(), device=second)
    assert loaded.device.type == second
    torch.testing.assert_close(moved_back(loaded), moved_back(agent), rtol=0, atol=0)
    loaded.load_replay_buffer(tmp_path / "replay.pkl")
    loaded.learn(60, reset_num_timesteps=False)
    assert {leaf.device.type for leaf in tree_leaves(loaded.learner.state)} == {second}
