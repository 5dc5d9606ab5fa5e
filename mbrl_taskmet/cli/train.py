"""`mbrl-taskmet train`: one run for each seed, side by side."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Union

import tyro
from rich.console import Console

from mbrl_taskmet.agents import AGENTS, AgentConfig
from mbrl_taskmet.agents.config import Preset, TaskMetConfig, configure
from mbrl_taskmet.cli.options import check_device, check_positive, check_seeds
from mbrl_taskmet.cli.weights import show_weights
from mbrl_taskmet.reason import with_type
from mbrl_taskmet.runs.environments import EnvironmentConfig
from mbrl_taskmet.runs.parallel import train_all
from mbrl_taskmet.runs.run_folder import RunFolder, RunFolderError
from mbrl_taskmet.runs.training import TrainingConfig, agent_name


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train an agent, one run for each seed."""

    environment: EnvironmentConfig
    """The environment."""

    preset: Preset = "default"
    """`default`, or `published` for the paper's settings; options given beside it win."""

    seeds: tuple[int, ...] = (0,)
    """One run for each."""

    timesteps: int | None = None
    """Environment steps of each run; if not given 50,000, or 200,000 as published."""

    eval_every: int = 2_000
    """Environment steps between two evaluations."""

    eval_episodes: int = 10
    """Episodes in an evaluation."""

    folder: Path | None = None
    """Where the runs go, in a folder for each seed; if not given, a folder in `runs` that is named
    after agent, preset, environment and distractors."""

    jobs: int | None = None
    """Runs at a time; as many as processor cores if not given."""

    device: str = "cpu"
    """Where the learning happens."""

    @property
    def hyperparameters(self) -> AgentConfig:
        """Of the chosen agent."""
        chosen: AgentConfig = self.agent  # type: ignore[attr-defined]  # added by train_command
        return chosen

    def run(self, console: Console) -> int:
        """Train, and show returns and weights."""
        runs = self._plan()
        # What can be refused is refused before anything is written; the runs differ in their seeds.
        first = next(iter(runs.values()))
        first.make_agent()
        self.environment.try_out()
        for folder in runs:
            _check_place(folder)
        _tell_if_too_short(first, console)
        failures = train_all(runs, console, jobs=self.jobs)
        for folder, error in failures.items():
            message = f"{folder}: {with_type(error)}"
            checkpoint = RunFolder(folder).checkpoint
            if isinstance(error, FloatingPointError) and checkpoint.exists():
                message += f" The last good checkpoint is {checkpoint}."
            Console(stderr=True).print(message, style="red", markup=False)
        finished = [RunFolder(folder) for folder in runs if folder not in failures]
        if finished:
            show_weights(finished, console)
        for run in finished:
            console.print(f"{run.path}: {_final_return(run)}, picture in {run.figure.name}")
        return 1 if failures else 0

    def _plan(self) -> dict[Path, TrainingConfig]:
        """The runs by their folders, of options that make sense."""
        timesteps = self.timesteps
        if timesteps is None:
            timesteps = 200_000 if self.preset == "published" else 50_000
        check_positive(timesteps=timesteps, jobs=self.jobs)
        check_positive(eval_every=self.eval_every, eval_episodes=self.eval_episodes)
        check_seeds(self.seeds)
        check_device(self.device)
        return {
            (self.folder or self._default_folder()) / f"seed-{seed}": TrainingConfig(
                self.hyperparameters,
                self.environment,
                timesteps=timesteps,
                seed=seed,
                eval_every=self.eval_every,
                eval_episodes=self.eval_episodes,
                device=self.device,
            )
            for seed in self.seeds
        }

    def _default_folder(self) -> Path:
        environment = self.environment
        parts = [agent_name(self.hyperparameters)]
        if self.preset != "default":
            parts.append(self.preset)
        parts.append(environment.env.rpartition("/")[2].rpartition(":")[2])
        if environment.kind != "gaussian":
            parts.append(environment.kind)
        return Path("runs") / "-".join([*parts, str(environment.num_distractors)])


def _check_place(folder: Path) -> None:
    """Refuse a folder that exists, or that cannot be made."""
    if folder.exists():
        raise RunFolderError(
            f"The run folder {folder} already exists: delete it, or choose another place with "
            "--folder."
        )
    parent = next(p for p in folder.absolute().parents if p.exists())
    if not (parent.is_dir() and os.access(parent, os.W_OK)):
        raise RunFolderError(
            f"The run folder {folder} cannot be made, since {parent} is not a folder that can be "
            "written to: choose another place with --folder."
        )


def _tell_if_too_short(run: TrainingConfig, console: Console) -> None:
    """Say before it takes time that so short a run trains nothing, or not its metric."""
    chosen = run.hyperparameters
    if run.timesteps <= chosen.learning_starts:
        console.print(
            f"Learning begins after {chosen.learning_starts:,} steps, and of {run.timesteps:,} "
            "nothing is learned: train longer, or with a smaller --learning-starts."
        )
    elif isinstance(chosen, TaskMetConfig) and run.timesteps <= chosen.metric_begins:
        console.print(
            f"The metric begins to learn after {chosen.metric_begins:,} steps; after "
            f"{run.timesteps:,} its weights are the prior's alone, or equal without one: train "
            "longer, or with a smaller --metric-warmup."
        )


def train_command(arguments: Sequence[str]) -> type[Train]:
    """`Train` with the agents as its sub-commands, their defaults those of the preset asked for.

    Args:
        arguments: of the command line, in which `--preset` decides the other options' defaults.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--preset", nargs="?", default="default")
    preset = parser.parse_known_args(arguments)[0].preset
    agents: Any = Union[  # noqa: UP007  (its members are made at run time)
        tuple(
            Annotated[
                agent.config_class,
                tyro.conf.subcommand(name, default=configure(agent.config_class, preset, {})),
            ]
            for name, agent in AGENTS.items()
        )
    ]
    return make_dataclass(
        "Train",
        [("agent", agents, field())],
        bases=(Train,),
        namespace={"__doc__": Train.__doc__},
        frozen=True,
        kw_only=True,
    )


def _final_return(run: RunFolder) -> str:
    rows = run.read_evaluations()[-5:]
    if not rows:
        return "no evaluation"
    mean = sum(float(row["episode_return"]) for row in rows) / len(rows)
    return f"return {mean:.1f} over the last {len(rows)} evaluation(s)"
