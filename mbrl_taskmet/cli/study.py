"""`mbrl-taskmet study`: run what is missing of a study, then show and draw its results."""

import csv
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console

from mbrl_taskmet.agents import DivergenceError
from mbrl_taskmet.cli.options import check_positive, check_seeds, spelled
from mbrl_taskmet.reason import reason, with_type
from mbrl_taskmet.runs.cluster import ray_cluster
from mbrl_taskmet.runs.executors import Executor, local_processes
from mbrl_taskmet.runs.job import Job
from mbrl_taskmet.runs.parallel import train_all
from mbrl_taskmet.studies import STUDIES, AnyStudy
from mbrl_taskmet.studies.resumable import Row
from mbrl_taskmet.suggestion import check_choice

EXECUTORS: Mapping[str, Executor] = {"local": local_processes, "ray": ray_cluster}
"""Where runs can be trained, by the option's value."""

OPTIONS = {
    "variants": "variant",
    "envs": "env",
    "num_distractors": "num_distractors",
    "kinds": "distractor_kind",
    "problems": "problem",
    "regimes": "regime",
}
"""What choose runs, by the column of a study's results."""

REPORTED = Path("studies/results")
"""Where reported results lie, in this repository and in its copies."""

REPORTED_SEEDS = range(10)
"""Whose runs may stand among the reported results; tuning takes seeds from 100 up."""


@dataclass(frozen=True)
class StudyCommand:
    """Run what is missing of a study, over all cores, then show and draw its results.

    Options choose what is trained; all results are shown. Several commands may add to the same
    results; what two of them find missing is trained twice.
    """

    name: Annotated[
        tyro.conf.Positional[str],
        tyro.conf.arg(metavar="NAME", help=f"Of the study: one of {', '.join(STUDIES)}."),
    ]

    results: Path = REPORTED
    """Folder of the results, `NAME.csv` and `NAME.png`."""

    seeds: tuple[int, ...] | None = None
    """Only these seeds; the study's own if not given. Others than 0 to 9 take a folder of their
    own."""

    variants: tuple[str, ...] | None = None
    """Only these of the study's variants (`--variants '?'` names them)."""

    envs: tuple[str, ...] | None = None
    """Only these of the study's environments, by the id without distractors."""

    num_distractors: tuple[int, ...] | None = None
    """Only these of the study's numbers of distractors."""

    kinds: tuple[str, ...] | None = None
    """Only these of the study's kinds of distractors."""

    problems: tuple[str, ...] | None = None
    """Only these of the tasks of the study `decision`."""

    regimes: tuple[str, ...] | None = None
    """Only these of the kinds of data of the study `decision`."""

    jobs: int | None = None
    """Runs at a time; as many as processor cores if not given. On a Ray cluster that is there
    already, as many as it has cores."""

    executor: Literal["local", "ray"] = "local"
    """Where runs are trained: in processes of this machine, or on the Ray cluster at RAY_ADDRESS
    (one on this machine if that is not set)."""

    figure: bool = False
    """Train nothing: only show and draw."""

    def run(self, console: Console) -> int:
        """Run, show, draw."""
        check_choice("study", self.name, STUDIES)
        check_positive(jobs=self.jobs)
        self._check_seeds()
        study = STUDIES[self.name]
        runs = study.chosen(self._wanted(study), self.seeds)
        if self.results == REPORTED and not REPORTED.is_dir():
            raise ValueError(
                f"There is no folder {REPORTED} here, where reported results lie: change to the "
                "repository, or choose another folder with --results."
            )
        path = self.results / f"{self.name}.csv"
        missing = [] if self.figure else study.missing(study.read(path), runs)
        if missing:
            study.check_writable(path)
        complete = self._train(study, missing, path, console) if missing else True
        # All that the file holds, whatever part was asked for.
        rows = study.read(path)
        if rows:
            console.print(study.show(rows))
            self._draw(study, rows, path.with_suffix(".png"))
            left = len(study.missing(rows))
            if left:
                console.print(f"{left} of the study's {len(list(study.runs()))} runs are missing.")
        elif self.figure:
            raise ValueError(
                f"There are no results in {path}: leave out --figure to train what is missing, or "
                "choose another folder with --results."
            )
        return 0 if complete else 1

    def _draw(self, study: AnyStudy, rows: Sequence[Row], path: Path) -> None:
        try:
            study.picture(rows, path)
        except OSError as error:
            raise ValueError(
                f"The picture {path} cannot be written ({reason(error)}); the results are kept. "
                "Once it can, `--figure` draws it."
            ) from error

    def _train(
        self, study: AnyStudy, missing: Sequence[tuple[str, Any]], path: Path, console: Console
    ) -> bool:
        """Train these runs and add to the results; whether all of them have left theirs."""
        diverged: set[Path] = set()
        with tempfile.TemporaryDirectory() as scratch:
            names = study.names(missing)
            folders = {Path(scratch, name): run for name, run in zip(names, missing, strict=True)}

            def keep(folder: Path, rows: list[list[Any]]) -> None:
                try:
                    study.append(path, rows)
                except (OSError, ValueError) as error:
                    raise ValueError(
                        f"What {folder.name} has found could not be added to {path} "
                        f"({reason(error)}): {_set_aside(study, rows)}"
                    ) from error
                shutil.rmtree(folder)

            def keep_finished(folder: Path, run: Job) -> None:
                keep(folder, study.rows(folders[folder][0], run, folder))

            def keep_diverged(folder: Path, run: Job, error: Exception) -> None:
                if isinstance(error, DivergenceError):
                    rows = study.rows_of_diverged(folders[folder][0], run, folder)
                    if rows:
                        keep(folder, rows)
                        diverged.add(folder)

            failures = train_all(
                {folder: run for folder, (_, run) in folders.items()},
                console,
                jobs=self.jobs,
                runs_per_process=study.runs_per_process,
                on_finished=keep_finished,
                on_failed=keep_diverged,
                executor=EXECUTORS[self.executor],
            )
        for folder, error in failures.items():
            message = f"{folder.name}: {with_type(error)}"
            if folder in diverged:
                message += " Its last evaluation stands for those that it did not come to."
            Console(stderr=True).print(message, style="red", markup=False)
        return failures.keys() <= diverged

    def _check_seeds(self) -> None:
        if self.seeds is not None:
            check_seeds(self.seeds)
            reported = self.results.resolve().parts[-2:] == REPORTED.parts
            if reported and not set(self.seeds) <= set(REPORTED_SEEDS):
                raise ValueError(
                    "Only seeds 0 to 9 are reported: add --results with another folder for others."
                )

    def _wanted(self, study: AnyStudy) -> dict[str, Sequence[Any]]:
        """What is chosen of a study's runs, by column."""
        columns = study.choices()
        there = [option for option, column in OPTIONS.items() if column in columns]
        given = [option for option in OPTIONS if getattr(self, option) is not None]
        for option in given:
            if option not in there:
                raise ValueError(
                    f"The study {study.name} has no {spelled(option)}: choose by "
                    f"{', '.join(map(spelled, there))}."
                )
        return {OPTIONS[option]: getattr(self, option) for option in given}


def _set_aside(study: AnyStudy, rows: list[list[Any]]) -> str:
    """Where rows are now that cannot stand among the results, in a sentence's second half."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", newline="", prefix=f"{study.name}-", suffix=".csv", delete=False
        ) as file:
            writer = csv.writer(file)
            writer.writerow(study.columns)
            writer.writerows(rows)
    except OSError as error:
        return f"it is lost, since no file for it can be written either ({reason(error)})."
    return f"its lines are in {file.name}, to be added by hand."
