"""What a study is: agents × environments × seeds, and the rows that its runs leave."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..agents import AGENTS, AgentConfig
from ..runs.environments import EnvironmentConfig
from ..runs.run_folder import RunFolder
from ..runs.training import TrainingConfig

Row = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Study:
    """A comparison of agents.

    Attributes:
        name: of the study, on the command line and of its files.
        question: that it answers, in a sentence.
        variants: hyperparameters by the name that they have in the results.
        environments: in each of which every variant is trained.
        timesteps: environment steps of a run.
        seeds: of a run; 0 to 9 report, tuning takes seeds from 100 up.
        eval_every: steps between two evaluations of ten episodes.
        columns: of the results, a choice of what `row` gives.
        panel: the column whose values get a picture each.
    """

    name: str
    question: str
    variants: Mapping[str, AgentConfig]
    environments: Sequence[EnvironmentConfig]
    timesteps: int
    seeds: Sequence[int]
    columns: Sequence[str]
    eval_every: int = 2_000
    panel: str = "num_distractors"

    def runs(self) -> Iterator[tuple[str, TrainingConfig]]:
        """All runs: the variant's name, and how it is made.

        Seeds vary slowest, so that partial results compare all variants.
        """
        for seed in self.seeds:
            for environment in self.environments:
                for variant, hyperparameters in self.variants.items():
                    yield (
                        variant,
                        TrainingConfig(
                            hyperparameters,
                            environment,
                            timesteps=self.timesteps,
                            seed=seed,
                            eval_every=self.eval_every,
                        ),
                    )

    def missing(self, rows: Sequence[Row]) -> list[tuple[str, TrainingConfig]]:
        """The runs that the results do not hold to their end."""
        ended = {self._key(row) for row in rows if int(row["timesteps"]) >= self.timesteps}
        return [run for run in self.runs() if self._key(self.labels(*run)) not in ended]

    def _key(self, labels: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(str(labels[column]) for column in self.columns if column in LABELS)

    def labels(self, variant: str, config: TrainingConfig) -> dict[str, Any]:
        """What tells a run from the others."""
        agent = next(name for name, found in AGENTS.items() if found is config.agent)
        values = (
            self.name,
            agent,
            variant,
            config.environment.kind,
            config.environment.num_distractors,
            "-".join(map(str, config.hyperparameters.model_hidden)),
            config.seed,
        )
        return dict(zip(LABELS, values, strict=True))

    def rows(self, variant: str, config: TrainingConfig, folder: Path) -> list[list[Any]]:
        """What a finished run adds to the results."""
        labels = self.labels(variant, config)
        return [
            [(labels | evaluation)[ALIASES.get(column, column)] for column in self.columns]
            for evaluation in RunFolder(folder).read_evaluations()
        ]

    def read(self, path: Path) -> list[Row]:
        """The results so far."""
        if not path.exists():
            return []
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    def append(self, path: Path, rows: Sequence[Sequence[Any]]) -> None:
        """Add a run to the results."""
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if is_new:
                writer.writerow(self.columns)
            writer.writerows(rows)


LABELS = (
    "study",
    "agent",
    "variant",
    "distractor_kind",
    "num_distractors",
    "model_hidden",
    "seed",
)
"""The columns that say which run a row belongs to."""

ALIASES = {"real_in_top4": "real_on_top"}
"""Columns that an evaluation has under another name: CartPole's real dimensions are four."""
