"""A comparison that is done run by run, on any machine that has the file of its results."""

import csv
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from filelock import FileLock
from rich.table import Table

from ..reason import reason
from ..runs.training import Job

Row = dict[str, str]

JobT = TypeVar("JobT", bound=Job)


@dataclass(frozen=True, kw_only=True)
class ResumableStudy(ABC, Generic[JobT]):
    """A comparison whose results are a file, to which every finished run adds its rows.

    Attributes:
        name: of the study, on the command line and of its files.
        question: that it answers, in a sentence.
        variants: what is compared, by the name that it has in the results.
        seeds: of a run; 0 to 9 report, tuning takes seeds from 100 up.
        columns: of the results.
        runs_per_process: after which a process is replaced by a fresh one; None for never, where
            runs are so short that starting processes would take longer.
    """

    name: str
    question: str
    variants: Mapping[str, Any]
    seeds: Sequence[int]
    columns: Sequence[str]
    runs_per_process: int | None = 1

    @abstractmethod
    def runs(self) -> Iterator[tuple[str, JobT]]:
        """All runs: the variant's name, and how it is made."""

    @abstractmethod
    def labels(self, variant: str, run: JobT) -> dict[str, Any]:
        """What tells a run from the others, by column."""

    @abstractmethod
    def rows(self, variant: str, run: JobT, folder: Path) -> list[list[Any]]:
        """What a finished run adds to the results."""

    @abstractmethod
    def key(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """What a row has in common with all rows of its run, and with no others."""

    @abstractmethod
    def ends(self, row: Row) -> bool:
        """Whether a run that has this row has all of its rows."""

    @abstractmethod
    def show(self, rows: Sequence[Row]) -> Table:
        """The results as a table."""

    @abstractmethod
    def picture(self, rows: Sequence[Row], path: Path) -> None:
        """The results as a picture."""

    def missing(self, rows: Sequence[Row]) -> list[tuple[str, JobT]]:
        """The runs that the results do not hold."""
        done = {self.key(row) for row in rows}
        return [run for run in self.runs() if self.key(self.labels(*run)) not in done]

    def names(self, runs: Sequence[tuple[str, JobT]]) -> list[str]:
        """A name for each of these runs: its variant, and in what else it differs from others."""
        found = [{"variant": variant} | self.labels(variant, run) for variant, run in runs]
        # The agent's class follows from the variant.
        different = [
            column
            for column in self.columns
            if column not in ("variant", "agent")
            and len({str(labels.get(column, "")) for labels in found}) > 1
        ]
        parts = [[str(labels[column]) for column in ("variant", *different)] for labels in found]
        return ["-".join(filter(None, part)).replace("/", "_") for part in parts]

    def check_place(self, path: Path) -> None:
        """Refuse a place where results could not be kept, before anything is trained.

        Raises:
            ValueError: if it cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):
                pass
        except OSError as error:
            raise ValueError(
                f"Results cannot be kept in {path.parent} ({reason(error)}): choose another folder "
                "with --results."
            ) from error

    def read(self, path: Path) -> list[Row]:
        """The results so far: the rows of each run that they hold to its end.

        Raises:
            ValueError: if the file has other columns.
        """
        rows = self._all_rows(path)
        ended = {self.key(row) for row in rows if self.ends(row)}
        return [row for row in rows if self.key(row) in ended]

    def append(self, path: Path, rows: Sequence[Sequence[Any]]) -> None:
        """Add a run to the results, all of it or nothing, in place of what they held of it.

        Several commands may do so at a time.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        added = [dict(zip(self.columns, row, strict=True)) for row in rows]
        renewed = {self.key(row) for row in added}
        whole = path.with_suffix(".part")
        with FileLock(path.with_suffix(".lock")):
            kept = [row for row in self._all_rows(path) if self.key(row) not in renewed]
            with whole.open("w", newline="") as file:
                writer = csv.DictWriter(file, self.columns)
                writer.writeheader()
                writer.writerows(kept + added)
            whole.replace(path)

    def _all_rows(self, path: Path) -> list[Row]:
        """Those of runs that were cut off too; no line that was, and none twice."""
        if not path.exists():
            return []
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            # Of a line that is too short some columns have no value, of a longer one some values
            # no column.
            whole = [row for row in reader if None not in row and None not in row.values()]
            rows = list({tuple(row.values()): row for row in whole}.values())
        if list(reader.fieldnames or ()) != list(self.columns):
            raise ValueError(f"{path} has other columns than the study {self.name}: move it away.")
        return rows
