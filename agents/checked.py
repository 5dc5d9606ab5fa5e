"""Rollouts and files that are refused in one sentence, with the fix.

Stable-Baselines3 would train on numbers that are not finite, and meets a damaged file or a wrong
environment with whatever error comes first.
"""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.save_util import open_path
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.common.utils import get_device
from stable_baselines3.common.vec_env import VecEnv

from ..reason import reason
from ..returned import check_observation
from ..whole_files import replacing
from .finite import check_experience, divergence
from .replay import TransitionBuffer
from .spaces import check_arrays, check_each, check_env, checked


class CheckedAlgorithm(OffPolicyAlgorithm):
    """An `OffPolicyAlgorithm` that stops at what it cannot learn from."""

    dimension_names: tuple[str, ...]

    @staticmethod
    def _wrap_env(env: GymEnv, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        check_env(env)
        if isinstance(env, VecEnv):
            check_each(env)
        else:
            env = checked(env)
        return OffPolicyAlgorithm._wrap_env(env, verbose, monitor_wrapper)

    def _sample_action(self, *args: Any, **kwargs: Any) -> tuple[np.ndarray, np.ndarray]:
        try:
            return super()._sample_action(*args, **kwargs)
        except FloatingPointError as error:
            if not np.isfinite(np.asarray(self._last_obs)).all():
                raise
            what = "What the policy acts by is not finite"
            raise divergence(what, self._n_updates, self.num_timesteps) from error

    def _store_transition(
        self,
        replay_buffer: ReplayBuffer,
        buffer_action: np.ndarray,
        new_obs: np.ndarray | dict[str, np.ndarray],
        reward: np.ndarray,
        dones: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        normalizer = self._vec_normalize_env
        seen, paid = (
            (new_obs, reward) if normalizer is None else (normalizer.old_obs, normalizer.old_reward)
        )
        check_arrays(seen, paid, self._shape_of_observations, self.num_timesteps)
        assert isinstance(seen, np.ndarray)
        for end in _final_observations(dones, infos):
            check_observation(end, seen.shape[1:], self.num_timesteps)
        arrived = with_final(seen, dones, infos)
        check_experience(arrived, paid, self.dimension_names, self.num_timesteps)
        super()._store_transition(replay_buffer, buffer_action, new_obs, reward, dones, infos)

    @property
    def _shape_of_observations(self) -> tuple[int, int]:
        """(N, n), of N environments with n dimensions."""
        return self.n_envs, len(self.dimension_names)

    def _setup_learn(self, *args: Any, **kwargs: Any) -> tuple[int, BaseCallback]:
        prepared = super()._setup_learn(*args, **kwargs)
        # As the environment returned it, before Stable-Baselines3 normalised it.
        first = self._last_obs if self._vec_normalize_env is None else self._last_original_obs
        check_arrays(first, None, self._shape_of_observations, self.num_timesteps)
        assert isinstance(first, np.ndarray)
        check_experience(first, np.zeros(0), self.dimension_names, self.num_timesteps)
        return prepared

    def save(
        self,
        path: str | Path | io.BufferedIOBase,
        exclude: Iterable[str] | None = None,
        include: Iterable[str] | None = None,
    ) -> None:
        """Save the agent; as in Stable-Baselines3, but a file is replaced by a whole one only."""
        with _in_place_of(path, "zip") as place:
            super().save(place, exclude, include)

    def save_replay_buffer(self, path: str | Path | io.BufferedIOBase) -> None:
        """Save the experience; as in Stable-Baselines3, but a file is replaced by a whole one."""
        with _in_place_of(path, "pkl") as place:
            super().save_replay_buffer(place)

    @classmethod
    def _settings_at_loading(cls, given: dict[str, Any]) -> dict[str, Any]:
        """The settings to change at loading, if they make sense."""
        raise NotImplementedError

    def load_replay_buffer(
        self, path: str | Path | io.BufferedIOBase, truncate_last_traj: bool = True
    ) -> None:
        """Load experience that was saved; as in Stable-Baselines3.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is damaged, or holds the experience of other environments; the
                agent then keeps its own.
        """
        own = self.replay_buffer
        file = open_path(path, "r", self.verbose, suffix="pkl")
        try:
            super().load_replay_buffer(file, truncate_last_traj)
            found = self.replay_buffer
            if not isinstance(found, TransitionBuffer):
                raise ValueError(f"it holds a {type(found).__name__}, not a TransitionBuffer")
            spaces = found.observation_space, found.action_space
            if spaces != (self.observation_space, self.action_space):
                raise ValueError(f"its spaces are {spaces[0]} and {spaces[1]}")
            if found.n_envs != self.n_envs:
                raise ValueError(f"it is of {found.n_envs} environments, not {self.n_envs}")
        except Exception as error:  # a damaged file can end in any of them
            self.replay_buffer = own
            raise ValueError(
                f"{path} cannot be loaded as experience of this {type(self).__name__} "
                f"({reason(error)}): check that the file is whole, and load it into an agent with "
                "as many environments of the same spaces."
            ) from error
        finally:
            if file is not path:  # which Stable-Baselines3 leaves open where loading fails
                file.close()

    @classmethod
    def load(
        cls,
        path: str | Path | io.BufferedIOBase,
        env: GymEnv | None = None,
        device: torch.device | str = "cpu",
        custom_objects: dict[str, Any] | None = None,
        print_system_info: bool = False,
        force_reset: bool = True,
        **settings: Any,
    ) -> Self:
        """Load a saved agent; as in Stable-Baselines3.

        Args:
            path: of the file.
            env: the environment to go on in.
            device: where the learning happens.
            custom_objects: in place of what the file holds.
            print_system_info: whether to compare this system with that of the file.
            force_reset: whether the environment begins anew.
            **settings: hyperparameters to be changed, or of the constructor's other arguments those
                that still can be. What only says where learning begins, such as `input_scale`,
                changes nothing where it has begun.

        Raises:
            FileNotFoundError: if there is no such file.
            RuntimeError: if there is no such device.
            TypeError: for a setting that does not exist.
            ValueError: if the file is damaged, holds another agent, or belongs to an environment
                with other spaces; or if a setting is out of range.
        """
        # What was given is refused by itself, so that the file is not blamed.
        settings = cls._settings_at_loading(settings)
        device = get_device(device)
        if env is not None:
            check_env(env)
        options = (env, device, custom_objects, print_system_info, force_reset)
        try:
            agent = super().load(path, *options, **settings)
        except (FileNotFoundError, PermissionError):
            raise
        except Exception as error:  # a damaged file can end in any of them
            # Stable-Baselines3 meets a refused parameter with a KeyError of its own.
            refusal = error.__context__ if isinstance(error, KeyError) else None
            without = f"leave out {', '.join(settings)}, or " if settings else ""
            raise ValueError(
                f"{path} cannot be loaded as {cls.__name__} here ({reason(refusal or error)}): "
                f"{without}check that the file is whole, and load it with the class it was saved "
                "by and an environment of the same spaces, its dimensions in the same order."
            ) from error
        if settings.get("seed") is not None:  # else the saved streams go on
            agent.set_random_seed(settings["seed"])
        return agent


@contextmanager
def _in_place_of(
    path: str | Path | io.BufferedIOBase, suffix: str
) -> Iterator[str | Path | io.BufferedIOBase]:
    """Where to write a file that will stand at the path, which gets the suffix if it has none."""
    whole = path
    if isinstance(path, str | Path):
        whole = Path(path if Path(path).suffix else f"{path}.{suffix}")  # as Stable-Baselines3 does
    if not isinstance(whole, Path) or whole.is_dir():  # for which it finds another name
        yield path
        return
    with replacing(whole) as part:
        yield part


def with_final(
    observations: np.ndarray, dones: np.ndarray, infos: Sequence[Mapping[str, Any]]
) -> np.ndarray:
    """What a `VecEnv` returned, (N, n), and below it the final observations of episodes."""
    ends = _final_observations(dones, infos)
    return np.concatenate([observations, ends]) if ends else observations


def _final_observations(dones: np.ndarray, infos: Sequence[Mapping[str, Any]]) -> list[np.ndarray]:
    """Of the episodes that ended, each of shape (n,): a `VecEnv` returns the next one's first.

    An environment that returns the same information at every step still has the last one's.
    """
    return [
        info["terminal_observation"]
        for done, info in zip(dones, infos, strict=True)
        if done and "terminal_observation" in info
    ]
