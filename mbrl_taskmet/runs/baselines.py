"""What a user would otherwise train: an agent of Stable-Baselines3 without a model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from stable_baselines3 import DQN
from stable_baselines3.common.logger import configure

from mbrl_taskmet.agents.callbacks import ReturnsCallback
from mbrl_taskmet.runs.environments import EnvironmentConfig
from mbrl_taskmet.runs.run_folder import RunFolder
from mbrl_taskmet.runs.training import EVALUATION_SEED, Report, ReportCallback

DQN_FOR_CARTPOLE: dict[str, Any] = {
    "learning_rate": 2.3e-3,
    "batch_size": 64,
    "buffer_size": 100_000,
    "learning_starts": 1_000,
    "gamma": 0.99,
    "target_update_interval": 10,
    "train_freq": 256,
    "gradient_steps": 128,
    "exploration_fraction": 0.16,
    "exploration_final_eps": 0.04,
    "policy_kwargs": {"net_arch": [256, 256]},
}
"""What RL Baselines3 Zoo recommends for CartPole-v1."""


@dataclass(frozen=True)
class DQNRun:
    """A run of Stable-Baselines3's DQN, with the fields that `TrainingConfig` has."""

    environment: EnvironmentConfig
    timesteps: int = 50_000
    seed: int = 0
    eval_every: int = 2_000
    eval_episodes: int = 10

    agent_name: ClassVar[str] = "dqn"
    model_hidden: ClassVar[tuple[int, ...]] = ()

    def train(self, folder: Path, report: Report) -> None:
        """Train, leaving the evaluations in a new folder."""
        torch.set_num_threads(1)
        run = RunFolder(folder)
        run.write_config({"agent": self.agent_name, "seed": self.seed})
        agent = DQN(
            "MlpPolicy",
            self.environment.make(1, self.seed),
            seed=self.seed,
            device="cpu",
            **DQN_FOR_CARTPOLE,
        )
        agent.set_logger(configure(str(folder), ["csv"]))
        evaluation = ReturnsCallback(
            self.environment.make(self.eval_episodes, EVALUATION_SEED + self.seed),
            run.evaluations,
            interval=self.eval_every,
            episodes=self.eval_episodes,
        )
        agent.learn(self.timesteps, callback=[evaluation, ReportCallback(report)])
        agent.logger.close()
