"""What a user would otherwise train: agents of Stable-Baselines3, without a model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from stable_baselines3 import DQN, SAC
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from mbrl_taskmet.agents.callbacks import ReturnsCallback
from mbrl_taskmet.agents.config import AgentConfig
from mbrl_taskmet.runs.environments import EnvironmentConfig
from mbrl_taskmet.runs.job import Report
from mbrl_taskmet.runs.reporting import ReportCallback, logging_to
from mbrl_taskmet.runs.run_folder import RunFolder

BASELINES: Mapping[str, type[OffPolicyAlgorithm]] = {"dqn": DQN, "sac": SAC}
"""The agents by name."""

RECOMMENDED: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("dqn", "CartPole-v1"): {
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
    },
    ("sac", "Pendulum-v1"): {"learning_rate": 1e-3},
}
"""What RL Baselines3 Zoo recommends, where that is not Stable-Baselines3's default.

Not its 10,000 random steps on MuJoCo, which are a hundredth of its million steps.
"""


@dataclass(frozen=True, kw_only=True)
class BaselineRun:
    """A run of one of these agents, with the fields that `TrainingConfig` has.

    Attributes:
        agent_name: a key of `BASELINES`.
        environment: with its distractors.
        normalize_observations: whether it sees them through `VecNormalize`.
        settings: hyperparameters in place of those that are recommended.
        timesteps: environment steps.
        seed: of everything random.
        eval_every: steps between two evaluations.
        eval_episodes: in each evaluation.
    """

    agent_name: str
    environment: EnvironmentConfig
    normalize_observations: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    timesteps: int = 50_000
    seed: int = 0
    eval_every: int = 2_000
    eval_episodes: int = 10

    model_hidden: ClassVar[tuple[int, ...]] = ()
    metric: ClassVar[str] = ""

    def train(self, folder: Path, report: Report) -> None:
        """Train, leaving the evaluations in a new folder."""
        run = RunFolder(folder)
        folder.mkdir(parents=True)
        recommended = RECOMMENDED.get((self.agent_name, self.environment.base), {})
        agent = BASELINES[self.agent_name](
            "MlpPolicy",
            self._shown(self.environment.make(1, self.seed), training=True),
            seed=self.seed,
            device="cpu",
            **{**recommended, **self.settings},
        )
        evaluation = ReturnsCallback(
            self._shown(
                self.environment.make_for_evaluation(self.eval_episodes, self.seed), training=False
            ),
            run.evaluations,
            interval=self.eval_every,
            episodes=self.eval_episodes,
        )
        with logging_to(agent, folder, ["csv"]):
            agent.learn(self.timesteps, callback=[evaluation, ReportCallback(report)])

    def _shown(self, env: VecEnv, *, training: bool) -> VecEnv:
        """As the agent sees it; evaluation has the moments of training, from the callback."""
        if not self.normalize_observations:
            return env
        return VecNormalize(env, training=training, norm_reward=False)


dqn = partial(BaselineRun, agent_name="dqn")
"""A run of DQN, on observations as they come."""

sac = partial(BaselineRun, agent_name="sac")
"""A run of SAC, on observations as they come."""

dqn_normalized = partial(dqn, normalize_observations=True)
"""A run of DQN that normalises observations, as the agents of this package do."""

sac_normalized = partial(sac, normalize_observations=True)
"""A run of SAC that normalises observations."""

sac_matched = partial(
    sac_normalized,
    settings={"learning_rate": AgentConfig.learning_rate, "tau": AgentConfig.tau},
)
"""A run of SAC that also has the step sizes of this package's agents."""
