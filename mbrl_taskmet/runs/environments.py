"""An environment by its settings, with distractors, for training and for evaluation."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv

from mbrl_taskmet.agents.spaces import CheckedEnv
from mbrl_taskmet.envs import NOISY_IDS, DistractorWrapper, make_noisy
from mbrl_taskmet.reason import reason

FIRST_EVALUATION_SEED = 1_000_000
"""From which on seeds are for evaluation."""


def evaluation_seed(seed: int, episodes: int) -> int:
    """Of the first of as many environments of evaluation, each of which has the next one.

    No training with a seed below has them, and no evaluation of a training with another seed in as
    many episodes.
    """
    return FIRST_EVALUATION_SEED + seed * episodes


@dataclass(frozen=True)
class EnvironmentConfig:
    """An environment with distractors."""

    env: str = "mbrl_taskmet/NoisyCartPole-v0"
    """Id of any registered environment with a flat Box observation (`module:id` imports the
    module that registers it)."""

    num_distractors: int = 16
    """Distracting dimensions added to the observation; 0 adds none."""

    kind: str = "gaussian"
    """Kind of distractors: gaussian, autoregressive, sinusoid, action_echo, redundant, multi_scale
    or projected."""

    noise_std: float = 1.0
    """Scale of the distractors."""

    permute: bool = False
    """Whether to scatter the distractors among the real dimensions."""

    layout_seed: int = 0
    """Seed of all that is fixed about the distractors."""

    @property
    def base(self) -> str:
        """Id of the environment without distractors: of a noisy id, what it adds them to."""
        name = self.env.rpartition(":")[2]  # without the module that registers it
        return next(
            (base for noisy, base in NOISY_IDS.items() if name in (noisy, _unversioned(noisy))),
            self.env,
        )

    def make(self, num_envs: int, seed: int) -> VecEnv:
        """Make some copies of the environment.

        Raises:
            TypeError: as `make_noisy`.
            ValueError: as `make_noisy`.
        """
        return make_vec_env(_make_checked, num_envs, seed, env_kwargs=self._arguments)

    def make_for_evaluation(self, episodes: int, seed: int) -> VecEnv:
        """Make a copy for each episode of an evaluation of the training that has this seed.

        Raises:
            TypeError: as `make_noisy`.
            ValueError: as `make_noisy`.
        """
        return self.make(episodes, evaluation_seed(seed, episodes))

    def try_out(self) -> None:
        """Take a step, so that an environment that fails from the start is refused at once.

        Raises:
            ValueError: if it fails, or returns what its spaces do not promise.
        """
        env = self.make(1, 0)
        try:
            env.reset()
            env.step(np.array([env.action_space.sample()]))
        except ValueError:
            raise  # a sentence of `CheckedEnv`, or of the environment
        except Exception as error:  # whatever an environment may raise
            raise ValueError(
                f"{self.env} fails at its first step ({type(error).__name__}: {reason(error)}): "
                "repair it."
            ) from error
        finally:
            env.close()

    def make_one(self, render_mode: str | None = None) -> DistractorWrapper:
        """Make the environment once, to be looked at.

        Raises:
            TypeError: as `make_noisy`.
            ValueError: as `make_noisy`.
        """
        return make_noisy(**self._arguments, render_mode=render_mode)

    @property
    def _arguments(self) -> dict[str, Any]:
        """Of `make_noisy`."""
        return {
            "env_id": self.base,
            "num_distractors": self.num_distractors,
            "kind": self.kind,
            "noise_std": self.noise_std,
            "permute": self.permute,
            "layout_seed": self.layout_seed,
        }


def _unversioned(env_id: str) -> str:
    """The id without its version, by which Gymnasium makes the latest."""
    return env_id.rpartition("-v")[0]


def _make_checked(**arguments: Any) -> CheckedEnv:
    """What `make_noisy` makes, checked under the monitor, which fails at what is no number."""
    return CheckedEnv(make_noisy(**arguments))
