"""Small agents, and what it means for two of them to be the same."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback

import mbrl_taskmet  # noqa: F401  (registers the environments)
from mbrl_taskmet.agents import AGENTS, TaskMet
from mbrl_taskmet.envs import make_noisy

SMALL = {
    "learning_starts": 50,
    "batch_size": 16,
    "buffer_size": 1_000,
    "critic_hidden": (8,),
    "model_hidden": (8,),
}


def tensors(tree, path=""):
    """Every tensor and array in nested dictionaries and tuples, by its path."""
    if hasattr(tree, "_asdict"):
        tree = tree._asdict()
    if isinstance(tree, dict):
        return {k: v for name in tree for k, v in tensors(tree[name], f"{path}/{name}").items()}
    return {path: torch.as_tensor(tree).clone()}


class Seen(BaseCallback):
    """Notes what is observed, the last observations of episodes too."""

    def __init__(self):
        super().__init__()
        self.observations = []

    def _on_step(self):
        ends = [i["terminal_observation"] for i in self.locals["infos"] if self.locals["dones"][0]]
        self.observations += [*self.locals["new_obs"].copy(), *ends]
        return True


@pytest.fixture
def seen():
    """A callback that notes the observations of one environment."""
    return Seen()


@pytest.fixture(params=AGENTS.values(), ids=AGENTS.keys())
def agent_class(request):
    """Each of the agents."""
    return request.param


@pytest.fixture
def make_env():
    """CartPole with few distractors."""

    def make(num_distractors=2, **options):
        return gym.make("mbrl_taskmet/NoisyCartPole-v0", num_distractors=num_distractors, **options)

    return make


@pytest.fixture
def make_pendulum():
    """Pendulum, whose actions are continuous, with few distractors."""
    return lambda: make_noisy("Pendulum-v1", num_distractors=2)


@pytest.fixture(params=["discrete", "continuous"])
def make_either(request, make_env, make_pendulum):
    """An environment of either kind of actions."""
    return {"discrete": make_env, "continuous": make_pendulum}[request.param]


@pytest.fixture
def make_agent(make_env):
    """An agent with tiny networks, whose metric, if it learns one, learns early."""

    def make(agent_class, env=None, **options):
        warmup = {"metric_warmup": 30} if agent_class is TaskMet else {}
        settings = {"seed": 0, "device": "cpu", **SMALL, **warmup, **options}
        if "net_arch" in options.get("policy_kwargs", {}):
            del settings["critic_hidden"]
        return agent_class("MlpPolicy", make_env() if env is None else env, **settings)

    return make


@pytest.fixture
def snapshot():
    """All that learning has changed: what was learned, the generators and the replay buffer."""

    def take(agent):
        return tensors(
            {
                "parameters": agent.get_parameters(),
                "replay": agent.replay_buffer._rows,
                "position": agent.replay_buffer.pos,
                "last_observation": [] if agent._last_obs is None else agent._last_obs,
                "updates": agent._n_updates,
                "timesteps": agent.num_timesteps,
            }
        )

    return take


@pytest.fixture
def differences():
    """Names of the tensors that two snapshots do not share bit by bit."""

    def find(one, other):
        assert one.keys() == other.keys()
        return [
            name
            for name in one
            if not np.array_equal(one[name].numpy(), other[name].numpy(), equal_nan=True)
        ]

    return find
