"""`mbrl-taskmet benchmark`: how fast the updates and the whole loop are on this machine."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from rich.console import Console
from rich.table import Table

from mbrl_taskmet import benchmarks
from mbrl_taskmet.benchmarks import decisions, loop, memory, populations, scaling, updates
from mbrl_taskmet.benchmarks.figures import draw_scaling
from mbrl_taskmet.suggestion import check_choices

Part = Literal["update", "loop", "scaling", "memory", "population", "decision"]
Row = dict[str, Any]

PARTS: Mapping[Part, tuple[Callable[..., Any], Sequence[str], Mapping[str, Any]]] = {
    "update": (
        updates.UpdateBenchmark,
        updates.COLUMNS,
        {"num_distractors": (16,), "rounds": 5, "fresh": False},
    ),
    "loop": (loop.LoopBenchmark, loop.COLUMNS, {"num_distractors": (16,), "steps": 500}),
    "scaling": (
        scaling.ScalingBenchmark,
        scaling.COLUMNS,
        {"batch": (64, 256), "hidden": (32, 64), "num_distractors": (0, 16), "rounds": 5},
    ),
    "memory": (memory.MemoryBenchmark, memory.COLUMNS, {"updates": 1_000}),
    "population": (
        populations.PopulationBenchmark,
        populations.COLUMNS,
        {"num_distractors": (16,), "members": (1, 4), "gpu_members": (1, 16), "rounds": 5},
    ),
    "decision": (decisions.DecisionBenchmark, decisions.COLUMNS, {"stocks": (20,)}),
}
"""What times each part, its columns, and what `--quick` has otherwise."""

SIZED: Sequence[Part] = ("update", "loop")
"""The parts that `--num-distractors` is for."""

REPORTED = Path(benchmarks.__file__).resolve().parent / "results"
"""Where reported timings lie."""


@dataclass(frozen=True)
class Benchmark:
    """Time the agents' updates and whole training loops, in processor time of one thread."""

    parts: tuple[Part, ...] = ("update", "loop")
    """What to time: one update of each agent beside a plain reference and the arithmetic's limit;
    the training loop by its parts; the update as batch, width and distractors grow; the memory
    over 100,000 updates; populations; quadratic programmes beside cvxpylayers."""

    num_distractors: tuple[int, ...] | None = None
    """Sizes, of update and loop; 0, 16, 128 and 512 if not given."""

    quick: bool = False
    """Fewer repetitions and sizes of every part, at most 16 distractors, for update no compilation
    times and memory: update and loop take four minutes."""

    json: bool = False
    """Print JSON instead of tables."""

    output: Path | None = None
    """Folder for a CSV file of each part, and a picture of the scaling, if they are to be
    written."""

    def run(self, console: Console) -> int:
        """Time and show."""
        self._check()
        results = {part: self._gather(part, *self._benchmark(part), console) for part in self.parts}
        if self.json:
            print(json.dumps(results, indent=2))
        return 0

    def _check(self) -> None:
        """Refuse what times nothing, or would replace what is reported by a part of it."""
        check_choices("part", self.parts, get_args(Part))
        if self.num_distractors is not None:
            if not self.num_distractors or min(self.num_distractors) < 0:
                raise ValueError("--num-distractors must be one or more numbers from 0 up.")
            if self.quick:
                raise ValueError(
                    "--quick has sizes of its own: leave out --quick or --num-distractors."
                )
        part_only = "--quick" if self.quick else "--num-distractors" if self.num_distractors else ""
        if part_only and self.output is not None and self.output.resolve() == REPORTED:
            raise ValueError(
                f"What is timed with {part_only} would take the place of what is reported: choose "
                "another folder with --output."
            )

    def _benchmark(self, part: Part) -> tuple[Sequence[str], Iterable[Row]]:
        """The columns of a part, and its rows as they are measured."""
        kind, columns, smaller = PARTS[part]
        changed = smaller if self.quick else {}
        if self.num_distractors is not None and part in SIZED:
            changed = {"num_distractors": self.num_distractors}
        return columns, kind(**changed).run()

    def _gather(
        self,
        part: Part,
        columns: Sequence[str],
        rows: Iterable[Row],
        console: Console,
    ) -> list[Row]:
        """Collect rows as they come, writing each down at once, and show them at the end.

        What an earlier benchmark wrote is replaced when all rows are there.
        """
        gathered: list[Row] = []
        if self.output is not None:
            self.output.mkdir(parents=True, exist_ok=True)
        with console.status(f"timing: {part}") as status:
            for row in rows:
                gathered.append(row)
                status.update(f"timing: {part}, {len(gathered)} done")
                if self.output is not None:
                    _write(self.output / f"{part}.csv.part", columns, gathered)
        if self.output is not None and gathered:
            (self.output / f"{part}.csv.part").replace(self.output / f"{part}.csv")
            if part == "scaling":
                draw_scaling(gathered, self.output / "scaling.png")
        if not self.json:
            table = Table(*columns, title=part)
            for row in gathered:
                table.add_row(*(str(row[column]) for column in columns))
            console.print(table)
        return gathered


def _write(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
