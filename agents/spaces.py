"""Which environments the agents can learn, said in one sentence where they cannot."""

from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium import spaces


def check_spaces(observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
    """Refuse what the agents cannot learn.

    Raises:
        ValueError: naming the space and the wrapper that would help.
    """
    if not isinstance(observation_space, spaces.Box) or len(observation_space.shape) != 1:
        raise ValueError(
            f"The observation space {observation_space} is not a flat Box: wrap the environment "
            "in gymnasium.wrappers.FlattenObservation."
        )
    if observation_space.shape[0] == 0:
        raise ValueError("The observation space has no dimensions: there is nothing to learn.")
    if isinstance(action_space, spaces.Discrete):
        return
    if not isinstance(action_space, spaces.Box) or len(action_space.shape) != 1:
        raise ValueError(
            f"The action space {action_space} is neither Discrete nor a flat Box: offer one of "
            "them through gymnasium.wrappers.TransformAction."
        )
    if not np.issubdtype(action_space.dtype, np.floating) or not action_space.is_bounded():
        raise ValueError(
            f"The action space {action_space} is not one of bounded real numbers: bound it "
            "through gymnasium.wrappers.TransformAction."
        )


class CheckedEnv(gym.Wrapper[Any, Any, Any, Any]):
    """Refuses observations and rewards that are not what the spaces promise.

    Vectorised environments copy observations into arrays, where a wrong shape would be broadcast
    without a word.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode.

        Raises:
            ValueError: if the observation is not of the space's shape, or not of real numbers.
        """
        observation, info = self.env.reset(seed=seed, options=options)
        self._check_observation(observation)
        return observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Take a step.

        Raises:
            ValueError: if the observation is not of the space's shape, or not of real numbers, or
                the reward is not a real number.
        """
        self._steps += 1
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._check_observation(observation)
        if not _is_number(reward):
            raise ValueError(
                f"The environment returned the reward {reward!r} at step {self._steps}: "
                "return a float."
            )
        return observation, reward, terminated, truncated, info

    def _check_observation(self, observation: Any) -> None:
        array, shape = np.asarray(observation), self.observation_space.shape
        if array.shape != shape or array.dtype.kind not in "fiub":
            raise ValueError(
                f"The environment returned an observation of shape {array.shape} and type "
                f"{array.dtype} at step {self._steps}: return real numbers of shape {shape}, "
                "as its observation space says."
            )


def _is_number(value: Any) -> bool:
    array = np.asarray(value)
    return array.ndim == 0 and array.dtype.kind in "fiub"
