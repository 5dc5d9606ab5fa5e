"""Memory that a process holds as an update is called again and again."""

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from .cases import Stepper, make_case
from .measure import in_fresh_process, resident_memory

COLUMNS = ("updates", "resident_mib")


@dataclass(frozen=True)
class MemoryBenchmark:
    """What is measured.

    Attributes:
        updates: compiled, of TaskMet with 16 distractors.
        readings: of the memory, evenly spaced, after the one that follows the first update.
    """

    updates: int = 100_000
    readings: int = 10

    def run(self) -> Iterator[dict[str, Any]]:
        """A row for each reading, all from one process that does nothing else."""
        yield from in_fresh_process(self._readings)

    def _readings(self) -> list[dict[str, Any]]:
        torch.set_num_threads(1)
        step = Stepper(make_case("taskmet", 16), compiled=True)
        step()
        rows = [_reading(1)]
        every = self.updates // self.readings
        for reading in range(1, self.readings + 1):
            for _ in range(every):
                step()
            rows.append(_reading(reading * every))
        return rows


def _reading(updates: int) -> dict[str, Any]:
    gc.collect()
    return {"updates": updates, "resident_mib": round(resident_memory(), 2)}
