"""Time of one member's update in a population that is updated as one."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._pytree import tree_map

from ..compilation import CompiledFunction
from ..population import population_update, stack
from .cases import Case, make_case
from .measure import interleaved

COLUMNS = (
    "device",
    "mode",
    "num_distractors",
    "members",
    "cpu_ms_per_member",
    "wall_ms_per_member",
    "first_call_s",
)


@dataclass(frozen=True)
class PopulationBenchmark:
    """What is timed.

    Attributes:
        num_distractors: each k.
        members: sizes of the population on a processor.
        gpu_members: those on a GPU, where there is one, which takes many in the time of one.
        rounds: interleaved turns of each.
        turn: calls in a turn.
    """

    num_distractors: Sequence[int] = (16, 128)
    members: Sequence[int] = (1, 4, 16)
    gpu_members: Sequence[int] = (1, 16, 128, 512)
    rounds: int = 20
    turn: int = 10

    def run(self) -> Iterator[dict[str, Any]]:
        """A row for each device, k, size and mode."""
        torch.set_num_threads(1)
        sizes = {"cpu": self.members}
        if torch.cuda.is_available():
            sizes["cuda"] = self.gpu_members
        for device, members in sizes.items():
            for k in self.num_distractors:
                yield from self._run(device, members, k)

    def _run(self, device: str, members: Sequence[int], k: int) -> Iterator[dict[str, Any]]:
        case = make_case("taskmet", k)
        calls = {
            (size, mode): _population(case, size, device, compiled=mode == "compiled")
            for size in members
            for mode in ("eager", "compiled")
        }
        first = {key: _wall_time(call) for key, call in calls.items()}
        timings = interleaved(
            {str(key): call for key, call in calls.items()}, rounds=self.rounds, turn=self.turn
        )
        for size, mode in calls:
            timing = timings[str((size, mode))]
            per_member = (round(1e3 * seconds / size, 3) for seconds in (timing.cpu, timing.wall))
            values = (device, mode, k, size, *per_member, round(first[size, mode], 1))
            yield dict(zip(COLUMNS, values, strict=True))


def _population(case: Case, size: int, device: str, *, compiled: bool) -> Callable[[], None]:
    """The update of so many members on a device, ready to be called."""
    arguments = tree_map(
        lambda tensor: tensor.to(device),
        (
            stack([case.state] * size),
            stack([case.batch] * size),
            stack([case.task_batch] * size),
        ),
    )
    function: Callable[..., Any] = population_update(case.update)
    if compiled:
        function = CompiledFunction(function, lambda: None)

    def call() -> None:
        with torch.no_grad():
            function(*arguments)
        if device == "cuda":
            torch.cuda.synchronize()

    return call


def _wall_time(call: Callable[[], None]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
