"""Where the time of a training run goes: update, acting, replay, environment, and the rest."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from .cases import VARIANTS, make_agent

COLUMNS = (
    "agent",
    "mode",
    "num_distractors",
    "env_steps_per_cpu_s",
    "share_update",
    "share_acting",
    "share_replay",
    "share_env",
    "share_other",
)


@dataclass(frozen=True)
class LoopBenchmark:
    """What is timed.

    Attributes:
        agents: keys of `VARIANTS`.
        num_distractors: each k.
        steps: of the environment that are timed, after the first compilation.
    """

    agents: Sequence[str] = tuple(VARIANTS)
    num_distractors: Sequence[int] = (0, 16, 128, 512)
    steps: int = 2_000

    def run(self) -> Iterator[dict[str, Any]]:
        """A row for each agent, mode and k."""
        torch.set_num_threads(1)
        for k in self.num_distractors:
            for agent in self.agents:
                for compiled in (False, True):
                    yield self._run(agent, k, compiled)

    def _run(self, variant: str, k: int, compiled: bool) -> dict[str, Any]:
        settings: dict[str, Any] = {"learning_starts": 300, "compile": compiled}
        if variant.startswith("taskmet"):
            settings["metric_warmup"] = 0  # the two inner levels alone, before, are cheaper
        agent = make_agent(variant, k, **settings)
        agent.learn(400)
        assert agent.env is not None
        parts = {
            "update": _timed(agent.learner, "step"),
            "acting": _timed(agent, "predict"),
            "env": _timed(agent.env, "step"),
            "sampling": _timed(agent, "_sample_batches"),
            "storing": _timed(agent, "_store_transition"),
        }
        began = time.process_time()
        agent.learn(self.steps, reset_num_timesteps=False)
        total = time.process_time() - began
        share = {name: part.seconds / total for name, part in parts.items()}
        return {
            "agent": variant,
            "mode": "compiled" if compiled else "eager",
            "num_distractors": k,
            "env_steps_per_cpu_s": round(self.steps / total, 1),
            "share_update": round(share["update"], 3),
            "share_acting": round(share["acting"], 3),
            "share_replay": round(share["sampling"] + share["storing"], 3),
            "share_env": round(share["env"], 3),
            "share_other": round(1 - sum(share.values()), 3),
        }


class _Timed:
    """A function that adds up the processor time it takes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.seconds = 0.0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        began = time.process_time()
        try:
            return self._function(*args, **kwargs)
        finally:
            self.seconds += time.process_time() - began


def _timed(owner: Any, name: str) -> _Timed:
    timed = _Timed(getattr(owner, name))
    setattr(owner, name, timed)
    return timed
