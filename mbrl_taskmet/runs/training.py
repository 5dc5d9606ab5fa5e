"""One training run in its folder: what `train` and the studies do for each seed."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import HParam

from mbrl_taskmet.agents import AGENTS, AgentConfig, ModelBasedAlgorithm
from mbrl_taskmet.agents.callbacks import EvaluationCallback, WeightsCallback
from mbrl_taskmet.agents.serialization import decode, encode
from mbrl_taskmet.runs.environments import EnvironmentConfig
from mbrl_taskmet.runs.figures import draw_weights
from mbrl_taskmet.runs.job import Job, Report
from mbrl_taskmet.runs.reporting import ReportCallback, logging_to
from mbrl_taskmet.runs.run_folder import RunFolder


class Run(Job, Protocol):
    """The training of an agent, and what tells it from others."""

    @property
    def agent_name(self) -> str:
        """Name of the agent."""

    @property
    def environment(self) -> EnvironmentConfig:
        """In which it is trained."""

    @property
    def seed(self) -> int:
        """Of everything random."""

    @property
    def model_hidden(self) -> tuple[int, ...]:
        """Hidden layers of its model; none if it has no model."""

    @property
    def metric(self) -> str:
        """Form of the metric that it learns; empty if it learns none."""


@dataclass(frozen=True)
class TrainingConfig:
    """How one run is made.

    Attributes:
        hyperparameters: of the agent; its class says which agent.
        environment: with its distractors.
        timesteps: environment steps.
        seed: of everything random.
        eval_every: steps between two evaluations.
        eval_episodes: in each evaluation.
        device: where the learning happens.
    """

    hyperparameters: AgentConfig
    environment: EnvironmentConfig
    timesteps: int = 50_000
    seed: int = 0
    eval_every: int = 2_000
    eval_episodes: int = 10
    device: str = "cpu"

    @property
    def agent_name(self) -> str:
        """Name of the agent that these hyperparameters are for."""
        return agent_name(self.hyperparameters)

    @property
    def model_hidden(self) -> tuple[int, ...]:
        """Hidden layers of the model: its capacity."""
        return self.hyperparameters.model_hidden

    @property
    def metric(self) -> str:
        """Form of the metric that it learns; empty if it learns none."""
        return str(getattr(self.hyperparameters, "metric", ""))

    @property
    def agent(self) -> type[ModelBasedAlgorithm]:
        """The agent that these hyperparameters are for."""
        return AGENTS[self.agent_name]

    def make_agent(self) -> ModelBasedAlgorithm:
        """Build the environment and the agent: all that can be refused is refused here."""
        return self.agent(
            "MlpPolicy",
            self.environment.make(1, self.seed),
            seed=self.seed,
            device=self.device,
            **vars(self.hyperparameters),
        )

    def train(self, folder: Path, report: Report) -> None:
        """Train one agent, leaving everything in a new folder.

        Args:
            folder: where; made here.
            report: told of the progress, a few times a second at most.

        Raises:
            FloatingPointError: if a quantity stops being finite (`DivergenceError` if the learner
                did it); the folder then holds a checkpoint, if there was an evaluation before.
            OSError: if the folder exists or cannot be written.
            TypeError: as the environment and the agent do.
            ValueError: likewise.
        """
        agent = self.make_agent()
        run = RunFolder(folder)
        run.write_config(self.as_json())
        agent.announce = lambda message: report(agent.num_timesteps, None, message)
        assert agent.env is not None
        mask = agent.env.get_attr("distractor_mask")[0]
        callbacks = [
            EvaluationCallback(
                self.environment.make_for_evaluation(self.eval_episodes, self.seed),
                run.evaluations,
                distractor_mask=mask,
                mixing=agent.env.get_attr("mixing")[0],
                mixed_distractors=agent.env.get_attr("mixed_distractors")[0],
                interval=self.eval_every,
                episodes=self.eval_episodes,
                checkpoint=run.checkpoint,
            ),
            WeightsCallback(run.weights, interval=max(self.timesteps // 100, 1)),
            ReportCallback(report),
            HyperparametersCallback(),
        ]
        with logging_to(agent, folder, ["csv", "tensorboard"]):
            agent.learn(self.timesteps, callback=callbacks)
        agent.save(run.agent)
        draw_weights(*run.read_weights(), run.figure, found=run.read_metric(), distractors=mask)

    def as_json(self) -> dict[str, Any]:
        """In the form that `config.json` has."""
        return {
            **asdict(self),
            "hyperparameters": encode(self.hyperparameters),
        }

    @classmethod
    def from_json(cls, config: dict[str, Any]) -> "TrainingConfig":
        """Read back what `as_json` wrote.

        Raises:
            KeyError: if something is missing.
            TypeError: if something is of another kind.
            ValueError: likewise.
        """
        hyperparameters = decode(config["hyperparameters"])
        if not isinstance(hyperparameters, AgentConfig):
            raise TypeError("the hyperparameters are not those of an agent")
        return cls(
            **{
                **config,
                "hyperparameters": hyperparameters,
                "environment": EnvironmentConfig(**config["environment"]),
            }
        )


def agent_name(hyperparameters: AgentConfig) -> str:
    """Name of the agent to which these hyperparameters belong."""
    return next(n for n, a in AGENTS.items() if a.config_class is type(hyperparameters))


class HyperparametersCallback(BaseCallback):
    """Puts the hyperparameters into TensorBoard's table."""

    model: ModelBasedAlgorithm

    def _on_training_start(self) -> None:
        flat = {
            name: value if isinstance(value, bool | int | float | str) else str(value)
            for name, value in vars(self.model.config).items()
        }
        self.logger.record(
            "hparams",
            HParam({"agent": type(self.model).__name__, **flat}, {"eval/mean_reward": 0.0}),
            exclude=("stdout", "log", "json", "csv"),
        )

    def _on_step(self) -> bool:
        return True
