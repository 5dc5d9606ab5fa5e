"""How the actions of a space stand in replay: as the model and the critic read them."""

from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from torch import Tensor


class Encoding(Protocol):
    """Actions as rows of numbers.

    Attributes:
        size: numbers of an action.
        noise_size: numbers drawn for the policy to act by, d of a Box.
    """

    size: int
    noise_size: int

    def encode(self, actions: np.ndarray) -> np.ndarray:
        """As rows: (N, 1) or (N, d) → (N, size)."""

    def decode(self, rows: Tensor) -> Tensor:
        """As Stable-Baselines3 samples them: (B, size) → (B, 1) or (B, d)."""


class OneHot:
    """An action of a discrete space has a column of its own; its policy needs no noise."""

    noise_size = 0

    def __init__(self, space: spaces.Discrete) -> None:
        self.size, self._start = int(space.n), int(space.start)

    def encode(self, actions: np.ndarray) -> np.ndarray:
        """The indices, (N, 1) → (N, A), True at each action's."""
        one_hot: np.ndarray = actions - self._start == np.arange(self.size)
        return one_hot

    def decode(self, rows: Tensor) -> Tensor:
        """(B, A) → the indices, (B, 1)."""
        return rows.argmax(-1, keepdim=True) + self._start


class AsItIs:
    """An action of a flat Box, scaled to [−1, 1] by Stable-Baselines3, is its own row."""

    def __init__(self, space: spaces.Box) -> None:
        self.size = self.noise_size = space.shape[0]

    def encode(self, actions: np.ndarray) -> np.ndarray:
        """(N, d) → (N, d)."""
        return actions

    def decode(self, rows: Tensor) -> Tensor:
        """(B, d) → (B, d)."""
        return rows


def encoding_of(space: spaces.Space[Any]) -> Encoding:
    """That of an action space which `check_env` lets pass."""
    if isinstance(space, spaces.Discrete):
        return OneHot(space)
    assert isinstance(space, spaces.Box)
    return AsItIs(space)
