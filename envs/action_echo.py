"""Echoes of the last action: predictable from what the agent does, and useless."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from .process import DistractorProcess, FloatArray, Site
from .validation import check_non_negative


class Echoes(NamedTuple):
    """Layout of `ActionEcho`.

    Attributes:
        action_space: the space by which an action becomes a vector φ(a), shape (m,).
        weights: σ W, the map from φ(a) to the distractors, shape (k, m).
        noise_std: standard deviation of the noise on top of it.
    """

    action_space: gym.Space[Any]
    weights: FloatArray
    noise_std: float

    def noise(self, rng: np.random.Generator) -> FloatArray:
        """Draw the noise on top of the echo, shape (k,)."""
        return self.noise_std * rng.standard_normal(len(self.weights))


@dataclass(frozen=True)
class ActionEcho(DistractorProcess[Echoes]):
    """A fixed random linear map of the last action: x_{t+1} = σ (W φ(a_t) + c ε_{t+1}).

    φ(a) is one-hot for a discrete action, so that each action has a random embedding; a
    continuous action is flattened and each component divided by its largest magnitude, where
    it has one. The entries of W ~ N(0, 1) belong to the layout. An episode starts as if the
    last action had been zero: x_0 = σ c ε_0.

    Attributes:
        relative_noise: c, the noise as a fraction of σ, not negative.

    Raises:
        ValueError: if `relative_noise` is negative, or, once placed, if actions do not flatten
            to a vector.
    """

    relative_noise: float = 0.1

    def __post_init__(self) -> None:
        check_non_negative("relative_noise", self.relative_noise)

    def layout(self, site: Site, rng: np.random.Generator) -> Echoes:
        """Draw the weights W."""
        magnitudes = _largest_magnitudes(site.action_space)
        weights = rng.standard_normal((site.num_distractors, len(magnitudes)))
        return Echoes(
            action_space=site.action_space,
            weights=site.noise_std * weights / magnitudes,
            noise_std=site.noise_std * self.relative_noise,
        )

    def start(
        self, layout: Echoes, observation: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        """Draw the echo of no action at all: noise."""
        return layout.noise(rng)

    def advance(
        self,
        layout: Echoes,
        state: FloatArray,
        action: Any,
        observation: FloatArray,
        rng: np.random.Generator,
    ) -> FloatArray:
        """Draw the noisy echo of the action."""
        features = np.asarray(gym.spaces.flatten(layout.action_space, action), dtype=np.float64)
        return layout.weights @ features + layout.noise(rng)


def _largest_magnitudes(action_space: gym.Space[Any]) -> FloatArray:
    """Return the largest magnitude of each component of a flattened action, 1 if it has none."""
    flat_space = gym.spaces.flatten_space(action_space) if action_space.is_np_flattenable else None
    if not isinstance(flat_space, gym.spaces.Box):
        raise ValueError(
            f"Distractors of kind 'action_echo' need actions that flatten to a vector, got "
            f"{action_space}: use another kind, or turn the actions into a Box or Discrete space "
            "with gymnasium.wrappers.TransformAction."
        )
    magnitudes = np.maximum(np.abs(flat_space.low), np.abs(flat_space.high)).astype(np.float64)
    return np.where(np.isfinite(magnitudes) & (magnitudes > 0), magnitudes, 1.0)
