"""What a kind of distractor is: a Markov chain beside the environment, and what is seen of it.

    z_0     ~ start(s_0)                      state_{t+1} ~ advance(state_t, a_t, s_{t+1})
    x_t     = values(state_t)                 the distractors
    o_t     = (s_t, x_t), or R (s_t, x_t)     what is shown, R = mixing()

A process holds its parameters and nothing else. What it draws once, for every environment
with the same `layout_seed` (frequencies, embeddings), is its layout; what changes from step
to step is its state. Both are passed in, so that a process can be compared, copied and saved.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.floating[Any]]
LayoutT = TypeVar("LayoutT")


@dataclass(frozen=True)
class Site:
    """Where distractors are placed: all that a process may know when it draws its layout.

    Attributes:
        num_distractors: number of distractor dimensions, k.
        noise_std: scale σ of the distractors.
        observation_space: space of the wrapped environment's observations, shape (n,).
        action_space: space of the wrapped environment's actions.
    """

    num_distractors: int
    noise_std: float
    observation_space: gym.spaces.Box
    action_space: gym.Space[Any]


class DistractorProcess(ABC, Generic[LayoutT]):
    """One kind of distractor; subclass it (as a frozen dataclass) to make a kind of your own.

    Every random number comes from the generator that is passed in: the layout's at
    construction, the environment's own during an episode.
    """

    @abstractmethod
    def layout(self, site: Site, rng: np.random.Generator) -> LayoutT:
        """Draw what stays fixed for the lifetime of the environment.

        Args:
            site: number, scale and surroundings of the distractors.
            rng: generator seeded by the wrapper's `layout_seed`.

        Returns:
            The layout, handed to every other method.
        """

    @abstractmethod
    def start(
        self, layout: LayoutT, observation: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        """Draw the state that belongs to an episode's first observation.

        Args:
            layout: what `layout` returned.
            observation: the wrapped environment's first observation, shape (n,).
            rng: the environment's generator.

        Returns:
            The state, an array of any shape.
        """

    @abstractmethod
    def advance(
        self,
        layout: LayoutT,
        state: FloatArray,
        action: Any,
        observation: FloatArray,
        rng: np.random.Generator,
    ) -> FloatArray:
        """Draw the state that belongs to the observation which the action led to.

        Args:
            layout: what `layout` returned.
            state: the state before the action.
            action: the action taken, an element of the site's action space.
            observation: the wrapped environment's next observation, shape (n,).
            rng: the environment's generator.

        Returns:
            The next state.
        """

    def values(self, layout: LayoutT, state: FloatArray) -> FloatArray:
        """Return what is seen of the state, shape (k,): by default the state itself."""
        return state

    def bounds(self, layout: LayoutT) -> tuple[float | FloatArray, float | FloatArray]:
        """Return the smallest and the largest value, scalar or of shape (k,): by default none."""
        return -np.inf, np.inf

    def mixing(self, layout: LayoutT) -> FloatArray | None:
        """Return the matrix that mixes real dimensions and distractors: by default none does.

        Args:
            layout: what `layout` returned.

        Returns:
            R, invertible, shape (n + k, n + k), of which every row has a share of the real
            dimensions; None where distractors stand beside the real dimensions.
        """
        return None
