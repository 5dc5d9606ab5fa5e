"""A comparison that is done run by run, on any machine that has the file of its results."""

import csv
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from filelock import FileLock
from rich.table import Table

from ..reason import reason
from ..runs.job import Job
from ..suggestion import check_choice, check_choices
from ..whole_files import replacing, whole_lines

Row = dict[str, str]

NOUNS = {
    "env": "environment",
    "distractor_kind": "kind of distractor",
    "num_distractors": "number of distractors",
}
"""What columns are called in a sentence, where not by their own names."""

JobT = TypeVar("JobT", bound=Job)
NumberT = TypeVar("NumberT", int, float)


def number(row: Row, column: str, kind: Callable[[str], NumberT]) -> NumberT:
    """A value of a row.

    Raises:
        ValueError: if it is no number of this kind, naming the column.
    """
    try:
        return kind(row[column])
    except ValueError:
        raise ValueError(f"{row[column]!r} as {column}") from None


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

    def rows_of_diverged(self, variant: str, run: JobT, folder: Path) -> list[list[Any]]:
        """What a run adds whose learner diverged; nothing, where that would say nothing."""
        return []

    @abstractmethod
    def key(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """What a row has in common with all rows of its run, and with no others."""

    @abstractmethod
    def order(self, row: Row) -> tuple[Any, ...]:
        """What tells a row from the others of its run, in their order."""

    @abstractmethod
    def check(self, row: Row) -> None:
        """Refuse a row that no run of the study can have left.

        Raises:
            ValueError: saying what is wrong with it.
        """

    @abstractmethod
    def is_whole(self, rows: Sequence[Row]) -> bool:
        """Whether a run that has these rows, no two of the same `order`, has all of its own."""

    @abstractmethod
    def show(self, rows: Sequence[Row]) -> Table:
        """The results as a table."""

    @abstractmethod
    def picture(self, rows: Sequence[Row], path: Path) -> None:
        """The results as a picture."""

    def _all_labels(self, variant: str, run: JobT) -> dict[str, Any]:
        """The labels, and where they do not name it the variant."""
        return {"variant": variant} | self.labels(variant, run)

    def choices(self) -> dict[str, list[Any]]:
        """What runs can be chosen by: the values that there are, by column."""
        found: dict[str, dict[Any, None]] = {}
        for variant, run in self.runs():
            for column, value in self._all_labels(variant, run).items():
                found.setdefault(column, {})[value] = None
        return {column: list(values) for column, values in found.items()}

    def chosen(
        self, wanted: Mapping[str, Sequence[Any]], seeds: Sequence[int] | None = None
    ) -> list[tuple[str, JobT]]:
        """The runs that are among what is wanted.

        Args:
            wanted: values by column; any of a column that is not there.
            seeds: in place of the study's own, if given.

        Raises:
            ValueError: if the study has no such column or value, or no run that is all of this.
        """
        choices = self.choices()
        for column, values in wanted.items():
            check_choice("column", column, choices)
            check_choices(NOUNS.get(column, column), values, choices[column])
        study = self if seeds is None else replace(self, seeds=seeds)
        runs = []
        for variant, run in study.runs():
            labels = self._all_labels(variant, run)
            if all(labels[column] in values for column, values in wanted.items()):
                runs.append((variant, run))
        if not runs:
            raise ValueError(f"No run of the study {self.name} is all of this: choose others.")
        return runs

    def missing(
        self, rows: Sequence[Row], runs: Iterable[tuple[str, JobT]] | None = None
    ) -> list[tuple[str, JobT]]:
        """Those of these runs, of all if not given, that the results do not hold."""
        done = {self.key(row) for row in rows}
        runs = self.runs() if runs is None else runs
        return [run for run in runs if self.key(self.labels(*run)) not in done]

    def names(self, runs: Sequence[tuple[str, JobT]]) -> list[str]:
        """A name for each of these runs: its variant, and in what else it differs from others."""
        found = [self._all_labels(variant, run) for variant, run in runs]
        # The agent's class follows from the variant.
        different = [
            column
            for column in self.columns
            if column not in ("variant", "agent")
            and len({str(labels.get(column, "")) for labels in found}) > 1
        ]
        parts = [[str(labels[column]) for column in ("variant", *different)] for labels in found]
        return ["-".join(filter(None, part)).replace("/", "_") for part in parts]

    def check_writable(self, path: Path) -> None:
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
        """The results so far: the rows of each run that they hold as a whole, in the study's order.

        Raises:
            ValueError: if the file has other columns, or lines that are no results.
        """
        runs: dict[tuple[str, ...], list[Row]] = {}
        for row in filter(self.belongs, self._all_rows(path)):
            runs.setdefault(self.key(row), []).append(row)
        known = {self.key(self.labels(*run)): index for index, run in enumerate(self.runs())}
        whole = [key for key, rows in runs.items() if self.is_whole(rows)]
        whole.sort(key=lambda key: known.get(key, len(known)))
        return [row for key in whole for row in sorted(runs[key], key=self.order)]

    def belongs(self, row: Row) -> bool:
        """Whether the study has a row such as this, where runs may have others too."""
        return True

    def append(self, path: Path, rows: Sequence[Sequence[Any]]) -> None:
        """Add a run to the results, all of it or nothing, in place of what they held of it.

        Several commands may do so at a time.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        added = [dict(zip(self.columns, row, strict=True)) for row in rows]
        renewed = {self.key(row) for row in added}
        with FileLock(path.with_suffix(".lock")):
            kept = [row for row in self._all_rows(path) if self.key(row) not in renewed]
            with replacing(path) as part, part.open("w", newline="") as file:
                writer = csv.DictWriter(file, self.columns)
                writer.writeheader()
                writer.writerows(kept + added)

    def _all_rows(self, path: Path) -> list[Row]:
        """Those of cut-off runs too, but no such line; of one run and `order` the last."""
        if not path.exists():
            return []
        try:
            reader = csv.DictReader(whole_lines(path))
            lines = list(reader)
            if not path.stat().st_size:
                return []
            if reader.fieldnames == list(self.columns):
                # Of a line that is too short some columns have no value, of a longer one some
                # values no column.
                rows = [row for row in lines if None not in row and None not in row.values()]
                for row in rows:
                    self.check(row)
                return list({(self.key(row), self.order(row)): row for row in rows}.values())
        except (csv.Error, OSError, ValueError) as error:
            raise ValueError(
                f"{path} holds what is no result of the study {self.name} ({reason(error)}): "
                "repair it, or move it away."
            ) from error
        raise ValueError(f"{path} has other columns than the study {self.name}: move it away.")
