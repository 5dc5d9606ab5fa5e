"""Time of one member's update in a population that is updated as one."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._pytree import tree_map

from ..compilation import CompiledFunction
from ..population import population_update, stack
from .cases import make_case
from .measure import interleaved

COLUMNS = ("device", "mode", "num_distractors", "members", "wall_ms_per_member", "first_call_s")


@dataclass(frozen=True)
class PopulationBenchmark:
    """What is timed.

    Attributes:
        num_distractors: each k.
        members: sizes of the population.
        rounds: calls of each.
    """

    num_distractors: Sequence[int] = (16, 128)
    members: Sequence[int] = (1, 4, 16)
    rounds: int = 50

    def run(self) -> Iterator[dict[str, Any]]:
        """A row for each device, k, size and mode."""
        torch.set_num_threads(1)
        devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
        for device in devices:
            for k in self.num_distractors:
                for size in self.members:
                    yield from self._run(device, k, size)

    def _run(self, device: str, k: int, size: int) -> Iterator[dict[str, Any]]:
        case = make_case("taskmet", k)
        arguments = tree_map(
            lambda tensor: tensor.to(device),
            (
                stack([case.state] * size),
                stack([case.batch] * size),
                stack([case.task_batch] * size),
            ),
        )
        step = population_update(case.update)
        for mode, function in (
            ("eager", step),
            ("compiled", CompiledFunction(step, lambda: None)),
        ):
            call = _synchronized(function, arguments, device)
            began = time.perf_counter()
            call()
            first = time.perf_counter() - began
            timing = interleaved({mode: call}, rounds=self.rounds)[mode]
            values = (device, mode, k, size, round(1e3 * timing.wall / size, 3), round(first, 1))
            yield dict(zip(COLUMNS, values, strict=True))


def _synchronized(function: Callable[..., Any], arguments: Any, device: str) -> Callable[[], None]:
    def call() -> None:
        with torch.no_grad():
            function(*arguments)
        if device == "cuda":
            torch.cuda.synchronize()

    return call
