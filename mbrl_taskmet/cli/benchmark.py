"""`mbrl-taskmet benchmark`: how fast the updates and the whole loop are on this machine."""

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from mbrl_taskmet.benchmarks import loop, updates

Part = Literal["update", "loop"]


@dataclass(frozen=True)
class Benchmark:
    """Time the agents' updates and whole training loops, in processor time of one thread."""

    parts: tuple[Part, ...] = ("update", "loop")
    """What to time."""

    num_distractors: tuple[int, ...] = (0, 16, 128, 512)
    """Sizes."""

    quick: bool = False
    """Fewer repetitions, only 16 distractors, no compilation times and memory: two minutes."""

    json: bool = False
    """Print JSON instead of tables."""

    output: Path | None = None
    """Folder for `update.csv` and `loop.csv`, if they are to be written."""

    def run(self, console: Console) -> int:
        """Time and show."""
        sizes = (16,) if self.quick else self.num_distractors
        results: dict[str, list[dict[str, Any]]] = {}
        for part in self.parts:
            if part == "update":
                rounds = 50 if self.quick else 300
                benchmark = updates.UpdateBenchmark(sizes, rounds, fresh=not self.quick)
                results[part] = self._gather(part, benchmark.run(), updates.COLUMNS, console)
            else:
                measured = loop.LoopBenchmark(
                    num_distractors=sizes, steps=500 if self.quick else 2_000
                )
                results[part] = self._gather(part, measured.run(), loop.COLUMNS, console)
        if self.json:
            print(json.dumps(results, indent=2))
        return 0

    def _gather(
        self,
        part: Part,
        rows: Iterable[dict[str, Any]],
        columns: Sequence[str],
        console: Console,
    ) -> list[dict[str, Any]]:
        """Collect rows as they come, writing each down at once, and show them at the end."""
        gathered: list[dict[str, Any]] = []
        if self.output is not None:
            self.output.mkdir(parents=True, exist_ok=True)
        with console.status(f"timing: {part}") as status:
            for row in rows:
                gathered.append(row)
                status.update(f"timing: {part}, {len(gathered)} done")
                if self.output is not None:
                    _write(self.output / f"{part}.csv", columns, gathered)
        if not self.json:
            table = Table(*columns, title=part)
            for row in gathered:
                table.add_row(*(str(row[column]) for column in columns))
            console.print(table)
        return gathered


def _write(path: Path, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
