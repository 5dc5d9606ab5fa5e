"""Which environments the agents can learn, said in one sentence where they cannot."""

from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from ..dimension_names import names_of
from ..returned import REAL_KINDS, check_observation, check_reward
from .finite import check_experience


def check_env(env: gym.Env[Any, Any] | VecEnv) -> None:
    """Refuse an environment that the agents cannot learn.

    Raises:
        ValueError: naming the space, and the wrapper or the kind of environment that would help.
    """
    if isinstance(env, gym.vector.VectorEnv):
        raise ValueError(
            "The environment is a gymnasium.vector.VectorEnv: pass one of Stable-Baselines3's "
            "VecEnvs, such as stable_baselines3.common.env_util.make_vec_env returns."
        )
    if not isinstance(env, gym.Env | VecEnv):
        raise ValueError(
            f"The environment is {env!r}, of type {type(env).__name__}: pass one that "
            "gymnasium.make returns, or a VecEnv."
        )
    observation_space, action_space = env.observation_space, env.action_space
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
    if not (action_space.low < action_space.high).all():
        raise ValueError(
            f"The action space {action_space} leaves a component no choice: leave it out through "
            "gymnasium.wrappers.TransformAction."
        )


class CheckedEnv(gym.Wrapper[Any, Any, Any, Any]):
    """Refuses observations and rewards that are not what the spaces promise.

    All other attributes are the environment's, to be read and to be set: who made a `DummyVecEnv`
    of it knows nothing of this wrapper.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        assert isinstance(env.observation_space, spaces.Box)
        self._shape = env.observation_space.shape
        self._steps = 0

    def __getattr__(self, name: str) -> Any:
        if name == "env" or name.startswith("_"):
            raise AttributeError(name)
        if name == "dimension_names":  # also where the environment has no names of its own
            return names_of(self.env, self._shape[0])
        return getattr(self.env, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "env" or name.startswith("_") or hasattr(type(self), name):
            super().__setattr__(name, value)
        else:
            setattr(self.env, name, value)

    def reset(self, **given: Any) -> tuple[Any, dict[str, Any]]:
        """Start an episode, with the seed and the options that are given, if any.

        Raises:
            ValueError: if the observation is not of the space's shape, or not of real numbers.
        """
        observation, info = self.env.reset(**given)
        check_observation(observation, self._shape, self._steps)
        return observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Take a step.

        Raises:
            FloatingPointError: if the last observation of an episode is not finite, which
                `VecNormalize` would clip.
            ValueError: if the observation is not of the space's shape, or not of real numbers, or
                the reward is not a real number.
        """
        self._steps += 1
        observation, reward, terminated, truncated, info = self.env.step(action)
        check_observation(observation, self._shape, self._steps)
        check_reward(reward, self._steps)
        if terminated or truncated:
            last = np.asarray(observation)[None]
            check_experience(last, np.zeros(0), self.dimension_names, self._steps)
        return observation, reward, terminated, truncated, info


def check_each(env: VecEnv) -> None:
    """Put a `CheckedEnv` around each environment that a `DummyVecEnv` holds.

    It copies observations into arrays, where a wrong shape is broadcast without a word. Others
    stack them, so that the arrays show what is wrong (`check_arrays`).
    """
    inner = env.unwrapped
    if isinstance(inner, DummyVecEnv):
        inner.envs = [checked(one) for one in inner.envs]


def checked(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """An environment in a `CheckedEnv`, which goes under its monitor, if it has one."""
    if isinstance(env, Monitor):  # which would itself fail at a reward that is no number
        env.env = checked(env.env)
        return env
    return env if isinstance(env, CheckedEnv) else CheckedEnv(env)


def check_arrays(observations: Any, rewards: Any, shape: tuple[int, int], step: int) -> None:
    """Refuse what a vectorised environment returned.

    Args:
        observations: as they were returned.
        rewards: likewise; None where there are none yet.
        shape: (N, n), of N environments with n dimensions.
        step: of all environments together, for the message.

    Raises:
        ValueError: if they are of other shapes, or not of real numbers.
    """
    if not _are_real(observations, shape):
        raise ValueError(
            f"The vectorised environment returned observations of {_described(observations)} at "
            f"step {step}: return real numbers of shape {shape}, a row for each environment."
        )
    if rewards is not None and not _are_real(rewards, shape[:1]):
        raise ValueError(
            f"The vectorised environment returned rewards of {_described(rewards)} at step "
            f"{step}: return real numbers of shape {shape[:1]}, one for each environment."
        )


def _are_real(array: Any, shape: tuple[int, ...]) -> bool:
    return isinstance(array, np.ndarray) and array.shape == shape and array.dtype.kind in REAL_KINDS


def _described(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"shape {value.shape} and type {value.dtype}"
    return f"type {type(value).__name__}"
