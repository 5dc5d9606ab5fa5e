"""What a study is: agents × environments × seeds, and the rows that its runs leave."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from math import isfinite
from pathlib import Path
from typing import Any

from rich.table import Table

from ..agents import AgentConfig
from ..runs.environments import EnvironmentConfig
from ..runs.run_folder import RunFolder
from ..runs.training import Run, TrainingConfig
from .figures import draw
from .resumable import ResumableStudy, Row, number
from .summary import summary_table

Variant = AgentConfig | Callable[..., Run]
"""Hyperparameters of an agent of ours, or what makes a run of another from the arguments
`environment`, `timesteps`, `seed` and `eval_every`."""

Published = Mapping[str, Mapping[int, tuple[float, float]]]
"""Mean return and its standard error, by variant and number of distractors."""

COLUMNS = (
    "study",
    "agent",
    "variant",
    "distractor_kind",
    "num_distractors",
    "model_hidden",
    "seed",
    "timesteps",
    "episode_return",
    "model_mse_real",
    "real_over_distractor_ratio",
    "ranking_auc",
    "cpu_s",
)
"""Of the results, where a study has no columns of its own."""

COLUMNS_WITH_ENV = (
    "agent",
    "variant",
    "env",
    "distractor_kind",
    "num_distractors",
    "metric",
    "seed",
    "timesteps",
    "episode_return",
    "model_mse",
    "real_over_distractor_ratio",
    "ranking_auc",
    "cpu_s",
)
"""Of a study of several environments, or forms of a metric."""

LABELS = (
    "study",
    "agent",
    "variant",
    "env",
    "distractor_kind",
    "num_distractors",
    "metric",
    "model_hidden",
    "seed",
)
"""The columns that say which run a row belongs to."""

ALIASES = {"real_in_top4": "real_on_top", "model_mse": "model_mse_real"}
"""Columns that an evaluation has under another name: CartPole's real dimensions are four, and
the error of a model counts on the real ones."""


@dataclass(frozen=True, kw_only=True)
class Study(ResumableStudy[Run]):
    """A comparison of agents.

    Attributes:
        variants: hyperparameters, or what makes a run, by the name in the results.
        environments: in each of which every variant is trained.
        timesteps: environment steps of a run; a study of longer ones takes another name, since
            in the same file they would replace those of this one.
        eval_every: steps between two evaluations of ten episodes.
        estimators: what each evaluation has a row for, by the column of that name.
        columns: of the results, a choice of what `row` gives.
        panel: the columns whose combinations of values get a picture each.
        published: what others report, to be drawn beside the final returns.
        published_how: how they came to it.
        shown_by: makes the table of the results.
        pictured_by: makes their picture.
    """

    variants: Mapping[str, Variant]
    environments: Sequence[EnvironmentConfig]
    timesteps: int
    eval_every: int = 2_000
    estimators: Sequence[str] = ("",)
    columns: Sequence[str] = COLUMNS
    panel: Sequence[str] = ("num_distractors",)
    published: Published = field(default_factory=dict)
    published_how: str = ""
    shown_by: Callable[["Study", Sequence[Row]], Table] = summary_table
    pictured_by: Callable[["Study", Sequence[Row], Path], None] = draw

    def __post_init__(self) -> None:
        if self.timesteps % self.eval_every != 0:
            raise ValueError(
                f"The study {self.name} never evaluates its end: choose timesteps that "
                f"{self.eval_every} divides."
            )
        keys = [self.key(self.labels(*run)) for run in self.runs()]
        if len(set(keys)) < len(keys):
            raise ValueError(
                f"The study {self.name} has runs that its columns do not tell apart: add `variant`."
            )

    def runs(self) -> Iterator[tuple[str, Run]]:
        """All runs: the variant's name, and how it is made.

        Seeds vary slowest, so that partial results compare all variants.
        """
        for seed in self.seeds:
            for environment in self.environments:
                for name, variant in self.variants.items():
                    make: Callable[..., Run] = (
                        partial(TrainingConfig, variant)
                        if isinstance(variant, AgentConfig)
                        else variant
                    )
                    yield (
                        name,
                        make(
                            environment=environment,
                            timesteps=self.timesteps,
                            seed=seed,
                            eval_every=self.eval_every,
                        ),
                    )

    def belongs(self, row: Row) -> bool:
        """Whether an evaluation is one of those that the study has.

        Runs that were evaluated more often have others too.
        """
        steps = int(row["timesteps"])
        return steps <= self.timesteps and steps % self.eval_every == 0

    def key(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """The values of the columns that say which run a row belongs to."""
        return tuple(str(row[column]) for column in self.columns if column in LABELS)

    def order(self, row: Row) -> tuple[int, str]:
        """The steps after which the evaluation was made, and its estimator."""
        return int(row["timesteps"]), row.get("estimator", "")

    def check(self, row: Row) -> None:
        """Numbers where there should be, and no longer run, which is not this one continued.

        Rates that fall and exploration that ends do so where the run does.
        """
        if row.get("study", self.name) != self.name:
            raise ValueError(f"{row['study']!r} as study")
        if row.get("estimator", "") not in self.estimators:
            raise ValueError(f"{row['estimator']!r} as estimator")
        for column in ("num_distractors", "seed"):
            number(row, column, int)
        steps = number(row, "timesteps", int)
        if steps > self.timesteps:
            raise ValueError(f"an evaluation after {steps} steps of {self.timesteps}")
        for column in set(self.columns) - {*LABELS, "timesteps", "estimator"}:
            # What a run has no measure of stays empty, but never the return.
            if row[column]:
                number(row, column, float)
        if "episode_return" in row and not isfinite(number(row, "episode_return", float)):
            raise ValueError(f"{row['episode_return']!r} as episode_return")

    def is_whole(self, rows: Sequence[Row]) -> bool:
        """Whether these are the study's evaluations, of each estimator."""
        steps = range(self.eval_every, self.timesteps + 1, self.eval_every)
        return set(product(steps, self.estimators)) <= {self.order(row) for row in rows}

    def labels(self, variant: str, run: Run) -> dict[str, Any]:
        """What tells a run from the others."""
        values = (
            self.name,
            run.agent_name,
            variant,
            run.environment.base,
            run.environment.kind,
            run.environment.num_distractors,
            run.metric,
            "-".join(map(str, run.model_hidden)),
            run.seed,
        )
        return dict(zip(LABELS, values, strict=True))

    def rows(self, variant: str, run: Run, folder: Path) -> list[list[Any]]:
        """What a finished run adds to the results."""
        # Agents that collect many steps at a time overshoot.
        evaluations = filter(self.belongs, RunFolder(folder).read_evaluations())
        return self._as_rows(variant, run, evaluations)

    def rows_of_diverged(self, variant: str, run: Run, folder: Path) -> list[list[Any]]:
        """Its evaluations, the last of them in place of those that it did not come to.

        What a user is left with is the agent as it was then. Left out, the run would count for
        nothing, and what remains of the variant would look better than it is.
        """
        record = RunFolder(folder)
        found = record.read_evaluations() if record.evaluations.exists() else []
        evaluations = list(filter(self.belongs, found))
        if not evaluations:
            return []
        reached = evaluations[-1]["timesteps"]
        last = [evaluation for evaluation in evaluations if evaluation["timesteps"] == reached]
        left = range(int(reached) + self.eval_every, self.timesteps + 1, self.eval_every)
        carried = [evaluation | {"timesteps": str(step)} for step in left for evaluation in last]
        return self._as_rows(variant, run, evaluations + carried)

    def _as_rows(
        self, variant: str, run: Run, evaluations: Iterable[dict[str, str]]
    ) -> list[list[Any]]:
        labels = self.labels(variant, run)
        return [
            [(labels | evaluation)[ALIASES.get(column, column)] for column in self.columns]
            for evaluation in evaluations
        ]

    def show(self, rows: Sequence[Row]) -> Table:
        """The results as a table."""
        return self.shown_by(self, rows)

    def picture(self, rows: Sequence[Row], path: Path) -> None:
        """The results as a picture."""
        self.pictured_by(self, rows, path)
