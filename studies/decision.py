"""The decision tasks of the paper: which method's predictions lead to good decisions?"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.box import SIMPLE
from rich.table import Table

from ..decision.catalogue import SETUPS
from ..decision.experiment import Experiment
from ..runs.job import Report
from ..runs.run_folder import RunFolder
from .figures import look
from .resumable import ResumableStudy, Row, number
from .statistics import mean_and_deviation

MEASURES = ("decision_quality", "regret", "test_mse", "seconds")
LABELS = ("problem", "regime", "method", "alpha", "dataset_seed", "model_seed")

PUBLISHED: Mapping[tuple[str, str], tuple[float, float]] = {
    ("mse", "cubic"): (-0.96, 0.02),
    ("mse", "budget"): (0.54, 0.17),
    ("mse", "portfolio"): (0.33, 0.03),
    ("dfl", "cubic"): (0.61, 0.74),
    ("dfl", "budget"): (0.91, 0.06),
    ("dfl", "portfolio"): (0.25, 0.02),
    ("dfl 10", "cubic"): (0.62, 0.74),
    ("dfl 10", "budget"): (0.81, 0.11),
    ("dfl 10", "portfolio"): (0.34, 0.03),
    ("lodl_directed", "cubic"): (0.96, 0.005),
    ("lodl_directed", "budget"): (0.84, 0.105),
    ("lodl_directed", "portfolio"): (0.17, 0.05),
    ("lodl_directed 10", "cubic"): (-0.95, 0.005),
    ("lodl_directed 10", "budget"): (0.58, 0.14),
    ("lodl_directed 10", "portfolio"): (0.30, 0.03),
    ("taskmet", "cubic"): (0.96, 0.005),
    ("taskmet", "budget"): (0.83, 0.12),
    ("taskmet", "portfolio"): (0.33, 0.03),
}
"""Test decision quality by method and problem, mean and deviation (arXiv 2312.05250, table 1), on
other data for budget and portfolio. Which family of local losses its LODL has it does not say; on
Cubic its numbers are those of the directed one."""


@dataclass(frozen=True)
class ExperimentRun:
    """An experiment in a folder.

    Attributes:
        experiment: what is trained.
    """

    experiment: Experiment

    @property
    def timesteps(self) -> int:
        """It is done in one piece."""
        return 1

    def train(self, folder: Path, report: Report) -> None:
        """Run it and leave its measures as the one evaluation."""
        outcome = self.experiment.run()
        folder.mkdir(parents=True)
        with RunFolder(folder).evaluations.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(MEASURES)
            writer.writerow([f"{value:.6g}" for value in (*outcome.quality, outcome.seconds)])
        report(1, None, "")


@dataclass(frozen=True, kw_only=True)
class DecisionStudy(ResumableStudy[ExperimentRun]):
    """A comparison of ways to train a predictor for a decision.

    Attributes:
        variants: the method's name and its α, by the name in tables.
        problems: pairs of seeds, of the data and of the model, by task; the model's are those that
            `seeds` chooses from.
    """

    variants: Mapping[str, tuple[str, float]]
    problems: Mapping[str, Sequence[tuple[int, int]]]

    def runs(self) -> Iterator[tuple[str, ExperimentRun]]:
        """All runs: task by task, and in each seed by seed, so that partial results compare."""
        for problem, seeds in self.problems.items():
            for dataset_seed, model_seed in seeds:
                if model_seed not in self.seeds:
                    continue
                for regime, variant in product(SETUPS[problem].regimes, self.variants):
                    method, alpha = self.variants[variant]
                    yield (
                        variant,
                        ExperimentRun(
                            Experiment(
                                problem=problem,
                                regime=regime,
                                method=method,
                                alpha=alpha,
                                dataset_seed=dataset_seed,
                                model_seed=model_seed,
                            )
                        ),
                    )

    def labels(self, variant: str, run: ExperimentRun) -> dict[str, Any]:
        """The experiment's settings."""
        return {column: getattr(run.experiment, column) for column in LABELS}

    def key(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """The experiment's settings as text."""
        return tuple(str(row[column]) for column in LABELS)

    def order(self, row: Row) -> tuple[()]:
        """A run has one row."""
        return ()

    def check(self, row: Row) -> None:
        """Numbers where there should be."""
        for column in ("alpha", *MEASURES):
            number(row, column, float)

    def is_whole(self, rows: Sequence[Row]) -> bool:
        """A run has one row, in which `check` leaves no measure out."""
        return True

    def rows(self, variant: str, run: ExperimentRun, folder: Path) -> list[list[Any]]:
        """Settings and measures."""
        (measured,) = RunFolder(folder).read_evaluations()
        return [[*self.labels(variant, run).values(), *(measured[name] for name in MEASURES)]]

    def grouped(self, rows: Sequence[Row]) -> dict[tuple[str, str, str], list[Row]]:
        """The rows by problem, regime and variant, in the study's order."""
        names = {settings: name for name, settings in self.variants.items()}
        tasks = [(name, regime) for name in self.problems for regime in SETUPS[name].regimes]
        groups: dict[tuple[str, str, str], list[Row]] = {
            (*task, name): [] for task in tasks for name in self.variants
        }
        for row in rows:
            name = names.get((row["method"], float(row["alpha"])))
            if name is not None and (row["problem"], row["regime"]) in tasks:
                groups[row["problem"], row["regime"], name].append(row)
        return {key: group for key, group in groups.items() if group}

    def show(self, rows: Sequence[Row]) -> Table:
        """Mean ± standard deviation of each method over all seeds, the published beside it."""
        table = Table(title=self.question, box=SIMPLE, pad_edge=False, collapse_padding=True)
        table.add_column("method", no_wrap=True)
        for heading in ("n", "quality", "paper", "worst", "regret", "MSE"):
            table.add_column(heading, justify="right", no_wrap=True)
        task = ("", "")
        for (problem, regime, name), group in self.grouped(rows).items():
            if (problem, regime) != task:
                task = (problem, regime)
                table.add_section()
                table.add_row(f"[bold]{problem}, {regime}")
            quality, regret, mse = (
                np.array([float(row[measure]) for row in group]) for measure in MEASURES[:3]
            )
            mean_std = PUBLISHED.get((name, problem))
            table.add_row(
                name,
                str(len(group)),
                mean_and_deviation(quality, "{:.2f}"),
                f"{mean_std[0]:.2f} ± {mean_std[1]:.2f}" if mean_std else "",
                f"{quality.min():.2f}",
                f"{regret.mean():.2g}",
                f"{mse.mean():.2g}",
            )
        return table

    def picture(self, rows: Sequence[Row], path: Path) -> None:
        """Decision quality over test error, a point for each run and a panel for each regime."""
        groups = self.grouped(rows)
        panels = list(dict.fromkeys((problem, regime) for problem, regime, _ in groups))
        names = list(dict.fromkeys(name for _, _, name in groups if name != "random"))
        columns = 4
        height = -(-len(panels) // columns)
        figure = Figure(figsize=(4 * columns, 3.2 * height), layout="constrained")
        axes = list(figure.subplots(height, columns, squeeze=False).flat)
        for axis, panel in zip(axes, panels, strict=False):
            for index, name in enumerate(names):
                group = groups.get((*panel, name), [])
                axis.plot(
                    [float(row["test_mse"]) for row in group],
                    [float(row["decision_quality"]) for row in group],
                    label=name,
                    alpha=0.7,
                    **look(index) | {"linestyle": ""},
                )
            axis.set(title=", ".join(panel), xlabel="test MSE", ylabel="decision quality")
            low, high = axis.get_xlim()
            if high > 10 * max(low, 0):
                axis.set_xscale("log")
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        figure.legend(
            *figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=6
        )
        figure.savefig(path, dpi=100)


DECISION = DecisionStudy(
    name="decision",
    question="Which method's predictions lead to good decisions, and stay predictions?",
    variants={
        "constant": ("constant", 0.0),
        "random": ("random", 0.0),
        "mse": ("mse", 0.0),
        "mse_by_task": ("mse_by_task", 0.0),
        "dfl": ("dfl", 0.0),
        "dfl 10": ("dfl", 10.0),
        "lodl": ("lodl", 0.0),
        "lodl 10": ("lodl", 10.0),
        "lodl_quadratic": ("lodl_quadratic", 0.0),
        "lodl_directed": ("lodl_directed", 0.0),
        "lodl_directed 10": ("lodl_directed", 10.0),
        "taskmet": ("taskmet", 0.0),
        "taskmet_frozen": ("taskmet_frozen", 0.0),
    },
    problems={
        "cubic": tuple((seed, seed) for seed in range(10)),
        "budget": tuple(product(range(5), range(2))),
        "portfolio": tuple((0, seed) for seed in range(5)),
    },
    seeds=range(10),
    runs_per_process=None,
    columns=(*LABELS, *MEASURES),
)
