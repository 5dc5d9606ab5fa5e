"""`mbrl-taskmet decision`: train a predictor for a published task and see how it decides."""

import json
from dataclasses import dataclass, replace
from itertools import product
from typing import Annotated

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table

from mbrl_taskmet.cli.options import check_seeds
from mbrl_taskmet.decision.experiment import Experiment, Outcome
from mbrl_taskmet.studies.statistics import mean_and_deviation


@dataclass(frozen=True)
class Decision:
    """Train a predictor for a task with a decision, beside a constant one and random decisions."""

    problem: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="PROBLEM")]
    """cubic, budget or portfolio."""

    method: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="METHOD")]
    """mse, mse_by_task, dfl, lodl, lodl_directed, lodl_quadratic, taskmet, taskmet_frozen
    (whose metric stays the identity), constant or random."""

    regime: str = ""
    """Of the data: for budget sparse, medium, dense, mixed or nuisance, for portfolio sp500 or
    tse; the first if not given."""

    alpha: float = 0.0
    """Weight of the mean squared error beside the loss of DFL and LODL."""

    seeds: tuple[int, ...] = (0,)
    """One run for each, with data (but for portfolio, which has one set of days) and initial
    parameters of its own."""

    json: bool = False
    """Print JSON instead of a table."""

    def run(self, console: Console) -> int:
        """Train and show."""
        check_seeds(self.seeds)
        torch.set_num_threads(1)
        asked = Experiment(
            problem=self.problem, method=self.method, regime=self.regime, alpha=self.alpha
        )
        beside = [replace(asked, method=name, alpha=0.0) for name in ("constant", "random")]
        # Seed by seed, since methods share a seed's data; each method once, whatever was asked for.
        results: dict[str, list[Outcome]] = {one.method: [] for one in (asked, *beside)}
        for seed, experiment in product(self.seeds, dict.fromkeys((asked, *beside))):
            results[experiment.method].append(self._run(experiment, seed, console))
        if self.json:
            found = {name: [_as_dict(one) for one in group] for name, group in results.items()}
            print(json.dumps(found, indent=2))
        else:
            console.print(_table(f"{asked.problem}, {asked.regime}", results))
        return 0

    def _run(self, experiment: Experiment, seed: int, console: Console) -> Outcome:
        with console.status(f"{experiment.method}, seed {seed}"):
            return replace(experiment, dataset_seed=seed, model_seed=seed).run()


def _as_dict(outcome: Outcome) -> dict[str, float]:
    return {**outcome.quality._asdict(), "seconds": outcome.seconds}


def _table(title: str, results: dict[str, list[Outcome]]) -> Table:
    """Mean ± sample standard deviation over the seeds."""
    table = Table("method", "decision quality", "regret", "test MSE", "seconds", title=title)
    for name, outcomes in results.items():
        measures = np.array([[*one.quality, one.seconds] for one in outcomes]).T
        table.add_row(name, *(mean_and_deviation(values, "{:.3g}") for values in measures))
    return table
