"""The tabular example of OMD (arXiv 2106.03273): two states, two actions, a known optimum."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from cases import assert_close, generator, identity
from mbrl_taskmet.adam import Adam
from mbrl_taskmet.agents.omd import OMDUpdate
from mbrl_taskmet.agents.soft_q import SoftQ
from mbrl_taskmet.agents.vep import VEPUpdate
from mbrl_taskmet.batch import Batch
from mbrl_taskmet.dynamics import DynamicsModel
from mbrl_taskmet.forms import Diagonal
from mbrl_taskmet.losses import bellman_target, soft_value
from mbrl_taskmet.metric import UnconditionalMetric
from mbrl_taskmet.mlp import MLP
from mbrl_taskmet.networks import ModuleNetwork
from mbrl_taskmet.trilevel import ModelBasedUpdate

EXAMPLE = json.loads((Path(__file__).parent / "data" / "tabular_example.json").read_text())
TRANSITION, REWARD, INITIAL, OPTIMAL_Q = (
    torch.tensor(EXAMPLE[name], dtype=torch.float64)
    for name in ("transition", "reward", "initial_distribution", "optimal_soft_q")
)
PUBLISHED_DIGITS = {"rtol": 0, "atol": 1e-8}


def test_soft_value_iteration_finds_the_published_optimum():
    q, never = torch.zeros_like(REWARD), torch.zeros_like(INITIAL)
    for _ in range(300):
        values = soft_value(q.unsqueeze(0), EXAMPLE["temperature"])
        # One column per action, since a target is a vector over states.
        columns = [
            bellman_target(REWARD[:, a], never, TRANSITION[a] @ values, EXAMPLE["gamma"])
            for a in range(2)
        ]
        q = torch.stack(columns, 1)
    assert_close(q, OPTIMAL_Q, **PUBLISHED_DIGITS)

    policy = torch.softmax(q / EXAMPLE["temperature"], 1)
    followed = torch.einsum("sa,ast->st", policy, TRANSITION)
    returns = torch.linalg.solve(
        identity(2) - EXAMPLE["gamma"] * followed, (policy * REWARD).sum(1)
    )
    assert (INITIAL @ returns).item() == pytest.approx(EXAMPLE["optimal_return"], rel=1e-4)


class Table(nn.Module):
    """Any function of a one-hot state and a one-hot action."""

    def __init__(self, outputs):
        super().__init__()
        self.entries = nn.Parameter(torch.full((2, 2, outputs), 0.1, dtype=torch.float64))

    def forward(self, inputs):
        states, actions = inputs.split(2, 1)
        return torch.einsum("bs,ba,sao->bo", states, actions, self.entries)


def every_transition():
    """Each as often in a hundred as it is probable."""
    rows = [
        (state, action, following)
        for (action, state, following), p in zip(
            torch.cartesian_prod(*3 * [torch.arange(2)]).tolist(), TRANSITION.flatten(), strict=True
        )
        for _ in range(round(100 * p.item()))
    ]
    states, actions, following = torch.tensor(rows).T
    one_hot = identity(2)
    rewards = REWARD[states, actions]
    return Batch(
        one_hot[states],
        one_hot[actions],
        rewards,
        one_hot[following],
        torch.zeros_like(rewards),
        rewards.new_zeros(len(rewards), 0),
    )


@pytest.mark.parametrize(
    ("kind", "learns_the_truth"), [(ModelBasedUpdate, True), (VEPUpdate, False), (OMDUpdate, False)]
)
def test_critic_of_each_learner_reaches_the_optimum_within_its_own_model(kind, learns_the_truth):
    """And what matters for the task needs no true model."""
    update = kind(
        model=DynamicsModel(2, ModuleNetwork(Table(2)), ModuleNetwork(Table(1))),
        critic=SoftQ(MLP((2, 2)), EXAMPLE["temperature"]),
        metric=UnconditionalMetric(Diagonal(2)),
        gamma=EXAMPLE["gamma"],
        tau=0.5,
        model_optimizer=Adam(0.03),
        critic_optimizer=Adam(0.03),
    )
    state, batch = update.init(generator(), torch.float64), every_transition()
    for _ in range(500):
        state, _ = update(state, batch, batch)
    values = update.critic.network(state.critic, identity(2))
    assert_close(values, OPTIMAL_Q.expand(2, 2, 2), rtol=0, atol=1e-3)
    dynamics, _ = update.model.split(state.model)
    error = (dynamics.view(2, 2, 2) - TRANSITION.transpose(0, 1)).abs().max()
    assert (error < 1e-3) == learns_the_truth
