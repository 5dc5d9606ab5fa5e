"""Replay of transitions as flat rows, so that a batch is one gather."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize
from torch import Tensor

from ..batch import Batch
from ..reason import reason
from .encoding import encoding_of


class TransitionBuffer(ReplayBuffer):
    """A `ReplayBuffer` that samples `Batch`es, with a generator of its own.

    One row holds s, a, r, s′ and the termination of one transition. Memory is reserved at once, but
    taken only as rows are written.

    Args:
        buffer_size: transitions, of all environments together.
        observation_space: a flat Box.
        action_space: Discrete or Box.
        device: where batches are sampled to; the rows themselves stay in main memory.
        n_envs: environments that add a transition each.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Box,
        action_space: spaces.Space[Any],
        device: torch.device | str = "cpu",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
    ) -> None:
        if optimize_memory_usage:
            raise ValueError(
                "TransitionBuffer keeps both observations of a transition side by side; "
                "leave optimize_memory_usage=False."
            )
        # The base class's arrays are not used: better none than some that hold nothing.
        super().__init__(n_envs, observation_space, action_space, device, n_envs)
        del self.observations, self.next_observations, self.actions, self.rewards, self.dones
        del self.timeouts
        self.buffer_size = max(buffer_size // n_envs, 1)
        self.encoding = encoding_of(action_space)
        self._widths = [self.obs_shape[0], self.encoding.size, 1, self.obs_shape[0], 1]
        self._rows = _reserve(self.buffer_size, n_envs, sum(self._widths))
        ends = np.cumsum(self._widths)
        self._columns = [slice(e - w, e) for e, w in zip(ends, self._widths, strict=True)]

    def add(
        self,
        obs: np.ndarray,
        next_obs: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        done: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        """Store one transition of each environment.

        Args:
            obs: s, shape (n_envs, n).
            next_obs: s′, shape (n_envs, n), the true final observation where an episode ended.
            action: a, shape (n_envs,) or (n_envs, d).
            reward: r, shape (n_envs,).
            done: whether the episode ended, shape (n_envs,).
            infos: of each environment; `TimeLimit.truncated` says that it did not terminate.
        """
        # An environment may return its flags as integers, whose complements are all true.
        truncated = np.array([info.get("TimeLimit.truncated", False) for info in infos], bool)
        terminated = np.logical_and(done, ~truncated)
        # NumPy writes a few numbers several times faster than torch does.
        row = self._rows[self.pos].numpy()
        taken = self.encoding.encode(action.reshape(self.n_envs, self.action_dim))
        values = (obs, taken, reward[:, None], next_obs, terminated[:, None])
        for columns, value in zip(self._columns, values, strict=True):
            row[:, columns] = value
        self.pos += 1
        if self.pos == self.buffer_size:
            self.full, self.pos = True, 0

    def __getstate__(self) -> dict[str, Any]:
        """Of the rows only those that are filled, so that a file is no larger than its content."""
        return self.__dict__ | {"_rows": self._rows[: self.size()].clone()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Reserve the rest of the rows again."""
        filled = state["_rows"]
        reserved = _reserve(state["buffer_size"], *filled.shape[1:])
        reserved[: len(filled)] = filled
        self.__dict__ = state | {"_rows": reserved}

    def check_batch(self, batch_size: int) -> None:
        """Refuse batches that memory cannot hold, before they are drawn.

        Raises:
            MemoryError: if a pair of them does not fit.
        """
        try:
            _reserve(2 * batch_size, sum(self._widths))
        except (MemoryError, ValueError) as error:  # the latter from 2⁶³ bytes up
            raise MemoryError(
                f"batch_size {batch_size} does not fit into memory ({reason(error)})"
            ) from error

    def sample_batches(
        self,
        batch_size: int,
        number: int,
        generator: torch.Generator,
        env: VecNormalize | None = None,
    ) -> list[Batch]:
        """Draw independent batches, with replacement, in one gather.

        Args:
            batch_size: B, transitions in each.
            number: of batches.
            generator: the source of randomness.
            env: normalises observations and rewards, if given.
        """
        rows = self._rows.flatten(0, 1)
        index = torch.randint(
            self.size() * self.n_envs, (number * batch_size,), generator=generator
        )
        sampled = rows.index_select(0, index).to(self.device)
        noise = torch.randn(len(index), self.encoding.noise_size, generator=generator).to(
            self.device
        )
        parts = (torch.split(drawn, batch_size) for drawn in (sampled, noise))
        return [self._batch(rows, noise, env) for rows, noise in zip(*parts, strict=True)]

    def _batch(self, rows: Tensor, noise: Tensor, env: VecNormalize | None) -> Batch:
        observations, actions, rewards, next_observations, terminations = torch.split(
            rows, self._widths, -1
        )
        if env is not None:
            observations = torch.as_tensor(env.normalize_obs(observations.cpu().numpy())).to(rows)
            next_observations = torch.as_tensor(
                env.normalize_obs(next_observations.cpu().numpy())
            ).to(rows)
            rewards = torch.as_tensor(env.normalize_reward(rewards.cpu().numpy())).to(rows)
        return Batch(
            observations,
            actions,
            rewards.squeeze(-1),
            next_observations,
            terminations.squeeze(-1),
            noise,
        )

    def observations_reached(self, env: VecNormalize | None = None) -> np.ndarray:
        """s′ of all transitions, (N, n), normalised as `env` does, if given."""
        reached = self._rows[: self.size(), :, self._columns[3]].flatten(0, 1).numpy()
        return np.asarray(reached if env is None else env.normalize_obs(reached))

    def zeros(self) -> Batch:
        """A batch of one transition in which everything is zero."""
        row = torch.zeros_like(self._rows[0, :1], device=self.device)
        return self._batch(row, row.new_zeros(1, self.encoding.noise_size), None)

    def sample(self, batch_size: int, env: VecNormalize | None = None) -> ReplayBufferSamples:
        """Draw one batch in Stable-Baselines3's format, with torch's global generator."""
        batch = self.sample_batches(batch_size, 1, torch.default_generator, env)[0]
        return ReplayBufferSamples(
            observations=batch.observations,
            actions=self.encoding.decode(batch.actions),
            next_observations=batch.next_observations,
            dones=batch.terminations.unsqueeze(-1),
            rewards=batch.rewards.unsqueeze(-1),
        )


def _reserve(*shape: int) -> Tensor:
    """Zeros of which memory holds only what is touched: NumPy's, since torch fills its own."""
    return torch.from_numpy(np.zeros(shape, np.float32))
