"""What is timed: the agents' own updates, on random transitions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ..agents import MLE, OMD, VEP, ModelBasedAlgorithm, TaskMet
from ..batch import Batch
from ..compilation import CompiledFunction
from ..envs import make_noisy
from ..train_state import TrainState
from ..trilevel import ModelBasedUpdate

VARIANTS: Mapping[str, tuple[type[ModelBasedAlgorithm], dict[str, Any]]] = {
    "taskmet": (TaskMet, {}),
    "taskmet_published": (TaskMet, {"preset": "published"}),
    "omd": (OMD, {}),
    "mle": (MLE, {}),
    "vep": (VEP, {}),
}
"""The agents whose updates are timed, and how they are made."""


@dataclass
class Case:
    """An update and what to call it with."""

    update: ModelBasedUpdate
    state: TrainState
    batch: Batch
    task_batch: Batch


def make_agent(variant: str, num_distractors: int, **hyperparameters: Any) -> ModelBasedAlgorithm:
    """An agent on CartPole with distractors."""
    agent, settings = VARIANTS[variant]
    env = make_noisy("CartPole-v1", num_distractors)
    return agent("MlpPolicy", env, seed=0, device="cpu", **settings, **hyperparameters)


def make_case(
    variant: str, num_distractors: int, *, batch_size: int = 256, hidden: Sequence[int] = (32, 32)
) -> Case:
    """The update of an agent, ready to be called.

    Args:
        variant: a key of `VARIANTS`.
        num_distractors: k.
        batch_size: transitions in a batch.
        hidden: hidden layers of every network.
    """
    agent = make_agent(
        variant, num_distractors, critic_hidden=tuple(hidden), model_hidden=tuple(hidden)
    )
    draw = torch.Generator().manual_seed(0)
    batches = [random_batch(batch_size, agent.num_dimensions, draw) for _ in range(2)]
    return Case(agent.learner.update, agent.learner.state, *batches)


def random_batch(batch_size: int, num_dimensions: int, generator: torch.Generator) -> Batch:
    """Transitions of CartPole's kind: the state drifts, two actions, a reward of one."""

    def normal() -> Tensor:
        return torch.randn(batch_size, num_dimensions, generator=generator)

    observations = normal()
    actions = torch.randint(2, (batch_size,), generator=generator)
    return Batch(
        observations=observations,
        actions=one_hot(actions, 2).float(),
        rewards=torch.ones(batch_size),
        next_observations=0.9 * observations + 0.1 * normal(),
        terminations=(torch.rand(batch_size, generator=generator) < 0.05).float(),
        noise=torch.zeros(batch_size, 0),
    )


class Stepper:
    """Calls an update again and again, each time on the state it returned.

    Args:
        case: the update and its batches.
        compiled: whether to compile it at the first call.
    """

    def __init__(self, case: Case, *, compiled: bool = False) -> None:
        self._state = case.state
        self._batches = case.batch, case.task_batch
        self._update: Callable[..., Any] = case.update
        if compiled:
            self._update = CompiledFunction(case.update.__call__, lambda: None)

    def __call__(self) -> None:
        """One update."""
        with torch.no_grad():
            self._state, _ = self._update(self._state, *self._batches)
