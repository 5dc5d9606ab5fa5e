"""First light: MLE, OMD and TaskMet on CartPole with 16 distractors.

    python studies/first_light.py            trains what is missing, then draws the figure
    python studies/first_light.py --figure   draws the figure from the results alone
    python studies/first_light.py --raw      the same without normalising observations

Each run is appended to `results/first_light.csv` when it ends, one row an evaluation of ten
episodes; the same command again does only what is missing.
"""

import csv
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from matplotlib.figure import Figure
from rich.console import Console

from mbrl_taskmet.agents import AGENTS, AgentConfig
from mbrl_taskmet.cli.environments import EnvironmentConfig
from mbrl_taskmet.cli.parallel import train_all
from mbrl_taskmet.cli.run_folder import RunFolder
from mbrl_taskmet.cli.training import TrainingConfig

RESULTS = Path(__file__).parent / "results"
COLUMNS = (
    "agent",
    "num_distractors",
    "seed",
    "timesteps",
    "episode_return",
    "real_over_distractor_ratio",
    "real_in_top4",
)


@dataclass(frozen=True)
class FirstLight:
    """Compare the agents on CartPole with 16 distractors."""

    agents: tuple[str, ...] = ("mle", "omd", "taskmet")
    """Which agents."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Seeds of each; tuning used seeds from 100 up."""

    timesteps: int = 50_000
    """Environment steps of each run."""

    num_distractors: int = 16
    """Distracting dimensions."""

    jobs: int | None = None
    """Runs at a time; as many as processor cores if not given."""

    raw: bool = False
    """Leave observations as they are, with the metric learning from update 2,500 on; the results
    go into `first_light_raw.csv`."""

    figure: bool = False
    """Only draw the figure."""

    @property
    def results(self) -> Path:
        """Where the results are."""
        return RESULTS / ("first_light_raw.csv" if self.raw else "first_light.csv")

    def hyperparameters(self, agent: str) -> AgentConfig:
        """Of an agent in this study."""
        raw: dict[str, Any] = {"normalize_observations": False} if self.raw else {}
        if self.raw and agent == "taskmet":
            raw["metric_warmup"] = 2_500
        return AGENTS[agent].config_class(compile=True, **raw)


def main(study: FirstLight) -> None:
    """Train what is missing and draw the figure."""
    if not study.figure:
        run_missing(study)
    draw(study)


def run_missing(study: FirstLight) -> None:
    """Train every agent and seed that the results do not hold yet."""
    done = {(row["agent"], int(row["seed"])) for row in read(study) if is_last(row, study)}
    with tempfile.TemporaryDirectory() as scratch:
        runs = {
            Path(scratch) / f"{agent}-{seed}": TrainingConfig(
                study.hyperparameters(agent),
                EnvironmentConfig(num_distractors=study.num_distractors),
                timesteps=study.timesteps,
                seed=seed,
            )
            for seed in study.seeds
            for agent in study.agents
            if (agent, seed) not in done
        }
        if runs:
            append = partial(append_run, study.results)
            failures = train_all(runs, Console(), jobs=study.jobs, on_finished=append)
            for folder, error in failures.items():
                print(f"{folder.name}: {error}")


def append_run(results: Path, folder: Path, config: TrainingConfig) -> None:
    """Copy a finished run's evaluations into the results."""
    is_new = not results.exists()
    agent = next(name for name, found in AGENTS.items() if found is config.agent)
    with results.open("a", newline="") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(COLUMNS)
        for row in RunFolder(folder).read_evaluations():
            writer.writerow(
                [
                    agent,
                    config.environment.num_distractors,
                    config.seed,
                    row["timesteps"],
                    row["episode_return"],
                    row["real_over_distractor_ratio"],
                    row["real_on_top"],
                ]
            )


def read(study: FirstLight) -> list[dict[str, str]]:
    """All rows of the results so far."""
    return list(csv.DictReader(study.results.open())) if study.results.exists() else []


def is_last(row: dict[str, str], study: FirstLight) -> bool:
    """Whether a row ends a run of this study."""
    return (int(row["timesteps"]), int(row["num_distractors"])) == (
        study.timesteps,
        study.num_distractors,
    )


def draw(study: FirstLight) -> None:
    """Draw the return and the separation of the weights over the steps, with every seed."""
    rows = read(study)
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    returns, ratios = figure.subplots(1, 2)
    for agent in dict.fromkeys(row["agent"] for row in rows):
        seeds = sorted({int(row["seed"]) for row in rows if row["agent"] == agent})
        curves = np.array(
            [
                [
                    [float(row[c]) for c in ("timesteps", "episode_return", COLUMNS[5])]
                    for row in rows
                    if row["agent"] == agent and int(row["seed"]) == seed
                ]
                for seed in seeds
            ]
        )
        for axis, column in ((returns, 1), (ratios, 2)):
            steps, values = curves[0, :, 0], curves[:, :, column]
            (line,) = axis.plot(steps, values.mean(0), label=f"{agent} ({len(seeds)} seeds)")
            axis.plot(steps, values.T, color=line.get_color(), alpha=0.25, linewidth=0.8)
        final = curves[:, -5:, 1].mean(1)
        print(
            f"{agent:8s} return over the last five evaluations {final.mean():5.0f} "
            f"± {final.std(ddof=1):4.0f} (seeds {np.round(final).astype(int).tolist()}), "
            f"real over distractor weight {np.round(curves[:, -1, 2], 1).tolist()}"
        )
    returns.set(xlabel="environment steps", ylabel="episode return", ylim=(0, 510))
    ratios.set(xlabel="environment steps", ylabel="mean real / mean distractor weight")
    ratios.axhline(1, color="black", linewidth=0.8, linestyle=":")
    returns.legend()
    figure.savefig(study.results.with_suffix(".png"), dpi=120)


if __name__ == "__main__":
    main(tyro.cli(FirstLight))
