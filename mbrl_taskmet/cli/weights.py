"""`mbrl-taskmet weights`: which dimensions matter, as a table, a picture or JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console

from mbrl_taskmet.agents import MetricWeights
from mbrl_taskmet.cli.weights_table import weights_table
from mbrl_taskmet.runs.figures import draw_weights
from mbrl_taskmet.runs.run_folder import RunFolder, RunFolderError, find_runs


@dataclass(frozen=True)
class Weights:
    """Show the learned weights of a run, or the mean over the runs of several seeds."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Folder of a run, or of the runs of several seeds."""

    rows: int = 20
    """Dimensions to show, heaviest first; 0 for all."""

    json: bool = False
    """Print JSON instead of a table."""

    png: Path | None = None
    """Also draw the weights and their course over training into this file: of a full metric its
    matrix too, of one that depends on state and action its distribution over what happened."""

    def run(self, console: Console) -> int:
        """Show them."""
        runs = find_runs(self.run_folder)
        if self.rows < 0:
            raise ValueError("--rows must not be negative.")
        found = mean_weights(runs)
        if self.png is not None:  # first, since whoever reads what is printed may close the pipe
            names, timesteps, weights = _mean_course(runs)
            self.png.parent.mkdir(parents=True, exist_ok=True)
            draw_weights(names, timesteps, weights, self.png, found=found)
        if self.json:
            print(json.dumps(found.as_dict(), indent=2))
        else:
            _print(found, runs, console, self.rows)
        return 0


def show_weights(runs: Sequence[RunFolder], console: Console) -> None:
    """Print the final weights as a table, their mean over the runs.

    Args:
        runs: of one environment.
        console: where to.
    """
    _print(mean_weights(runs), runs, console, Weights.rows)


def _print(found: MetricWeights, runs: Sequence[RunFolder], console: Console, rows: int) -> None:
    table = weights_table(found, rows or None)
    table.title = "Learned weights" if len(runs) == 1 else f"Weights, mean of {len(runs)} runs"
    if not all(run.has_ended for run in runs):
        _, timesteps, _ = runs[0].read_weights()
        table.title += f", not finished: after {timesteps[-1]:,.0f} steps"
    console.print(table)


def mean_weights(runs: Sequence[RunFolder]) -> MetricWeights:
    """The final weights, averaged over runs of one environment."""
    _mean_course(runs)  # refuses runs that do not belong together
    return MetricWeights.mean([run.read_metric() for run in runs])


def _mean_course(
    runs: Sequence[RunFolder],
) -> tuple[list[str], np.ndarray, np.ndarray]:
    courses = [run.read_weights() for run in runs]
    names, timesteps, _ = courses[0]
    for run, (other_names, other_timesteps, _) in zip(runs, courses, strict=True):
        if other_names != names or not np.array_equal(other_timesteps, timesteps):
            raise RunFolderError(
                f"{run.path} has other dimensions or steps than {runs[0].path}: "
                "ask for one run at a time."
            )
    return names, timesteps, np.mean([weights for _, _, weights in courses], axis=0)
