"""`mbrl-taskmet evaluate`: the return of a trained agent."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv

from mbrl_taskmet.agents import ModelBasedAlgorithm
from mbrl_taskmet.agents.finite import check_evaluation
from mbrl_taskmet.cli.options import check_positive
from mbrl_taskmet.runs.recording import check_filmable, record_episode
from mbrl_taskmet.runs.run_folder import RunFolder, RunFolderError, find_runs
from mbrl_taskmet.runs.training import TrainingConfig


@dataclass(frozen=True)
class Evaluate:
    """Let trained agents act greedily and report their returns."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Folder of a run, or of the runs of several seeds."""

    episodes: int = 20
    """Episodes for each agent."""

    seed: int = 2_000_000
    """Of the environments; apart from those of training."""

    video: bool = False
    """Also film the first episode, into `evaluation.mp4` in the run's folder; needs the extra
    `mbrl-taskmet[video]`."""

    json: bool = False
    """Print JSON instead of a table."""

    def run(self, console: Console) -> int:
        """Evaluate each run."""
        check_positive(episodes=self.episodes)
        torch.set_num_threads(1)
        # What can be refused is refused before the first episode.
        runs = [(run, _read(run)) for run in find_runs(self.run_folder)]
        if self.video:
            for environment in dict.fromkeys(config.environment for _, config in runs):
                check_filmable(environment)
        results = [self._evaluate(run, config) for run, config in runs]
        if self.json:
            print(json.dumps(results, indent=2))
            return 0
        table = Table("run", "episodes", "mean return", "std", "min", "max")
        for result in results:
            returns = np.array(result["episode_returns"])
            numbers = (returns.mean(), returns.std(), returns.min(), returns.max())
            cells = [f"{number:.1f}" for number in numbers]
            table.add_row(result["run"], str(len(returns)), *cells)
        console.print(table)
        for (run, _), result in zip(runs, results, strict=True):
            if not run.has_ended:
                console.print(f"{run.path}: not finished, so evaluated as in {run.latest.name}")
            if "video" in result:
                console.print(f"{result['run']}: film in {Path(result['video']).name}")
        return 0

    def _evaluate(self, run: RunFolder, config: TrainingConfig) -> dict[str, Any]:
        # As many environments as episodes, so that the policy acts on all of them at once.
        env = config.environment.make(self.episodes, self.seed)
        agent = config.agent.load(run.latest, env=env, device=config.device)
        result: dict[str, Any] = {"run": str(run.path), "agent": run.latest.name}
        if self.video:
            record_episode(agent, config.environment, self.seed, run.film)
            result["video"] = str(run.film)
        env.seed(self.seed)  # loading has seeded it with the seed of training
        result["episode_returns"] = _returns(agent, env)
        env.close()
        return result


def _returns(agent: ModelBasedAlgorithm, env: VecEnv) -> list[float]:
    """The return of an episode in each environment, in their order: not that in which they end."""
    returns = [0.0] * env.num_envs

    def collect(local: Mapping[str, Any], others: Mapping[str, Any]) -> None:
        check_evaluation(local, others)
        if local["done"]:
            returns[local["i"]] = local["info"]["episode"]["r"]

    evaluate_policy(agent, env, env.num_envs, callback=collect)
    return returns


def _read(run: RunFolder) -> TrainingConfig:
    """How a run was made that holds an agent."""
    written = run.read_config()
    try:
        config = TrainingConfig.from_json(written)
    except (KeyError, TypeError, ValueError) as error:
        raise RunFolderError(
            f"{run.config} is damaged, or of another version ({error}): train the agent again."
        ) from None
    if not run.latest.exists():
        raise RunFolderError(
            f"{run.path} holds neither agent.zip nor checkpoint.zip: let the run go on to its "
            "first evaluation, or if it has failed, evaluate the other runs one by one."
        )
    return config
