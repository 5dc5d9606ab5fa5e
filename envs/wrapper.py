"""The wrapper that adds distracting dimensions to observations."""

from typing import Any, SupportsFloat, TypeVar

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import ArrayLike, NDArray

from ..dimension_names import names_of
from ..returned import check_observation
from .kinds import process_of
from .process import DistractorProcess, FloatArray, Site
from .validation import check_count, check_flag, check_non_negative

ScalarT = TypeVar("ScalarT", bound=np.generic)


class DistractorWrapper(gym.Wrapper[FloatArray, Any, FloatArray, Any], RecordConstructorArgs):
    """Adds k dimensions to an observation of n that have nothing to do with the task.

    The observation that a step returns carries the very distractors on which the agent acts
    next. Their randomness comes from the environment's own generator, `np_random`, so
    `reset(seed=...)` decides it; what is fixed about them comes from `layout_seed`, so
    environments for training and for evaluation share it. The wrapped environment is never given
    anything but its actions; only where it draws from the shared generator itself, during a step
    or in a later reset without a seed, do its own draws differ from those it would make alone.

    Wrap twice to mix kinds: names and mask then cover both, `mixing` what the outer wrapper alone
    mixes, so that a kind that mixes comes last.

    Where the kind turns real dimensions and distractors into one another (`"projected"`), every
    dimension is a mixture: it is named so, its bounds are infinite, and the mask, which is True
    only for what is nothing but a distractor, is False everywhere. Whatever compares distractors
    with other dimensions then finds none, as without distractors.

    Attributes:
        distractor_mask: for evaluation only, no algorithm may read it: True where a dimension is
            nothing but a distractor, shape (n + k,), read-only.
        dimension_names: the names of the n + k dimensions.
        mixing: for evaluation only, like the mask: the matrix R by which observations are
            R (s, x), of the n dimensions s that are wrapped and the k distractors x, shape
            (n + k, n + k), read-only; None where this wrapper mixes nothing.
        mixed_distractors: which of the columns of R are distractors, shape (n + k,), read-only;
            None where this wrapper mixes nothing.

    Example:
        >>> env = DistractorWrapper(gym.make("CartPole-v1"), 2, kind="sinusoid")
        >>> env.dimension_names[2:]
        ['pole_angle', 'pole_angular_velocity', 'distractor_0', 'distractor_1']
        >>> env.reset(seed=0)[0].shape
        (6,)
    """

    distractor_mask: NDArray[np.bool_]
    dimension_names: list[str]
    mixing: FloatArray | None
    mixed_distractors: NDArray[np.bool_] | None
    _state: FloatArray

    def __init__(
        self,
        env: gym.Env[FloatArray, Any],
        num_distractors: int,
        kind: str | DistractorProcess[Any] = "gaussian",
        noise_std: float = 1.0,
        permute: bool = False,
        layout_seed: int = 0,
        **parameters: Any,
    ) -> None:
        """Wrap an environment.

        Args:
            env: environment with observations in a Box of shape (n,), of floating-point type if
                there is anything to add.
            num_distractors: number of distractor dimensions, k; 0 adds none.
            kind: `"gaussian"`, `"autoregressive"`, `"sinusoid"`, `"action_echo"`,
                `"redundant"`, `"multi_scale"`, `"projected"`, or a process of your own.
            noise_std: scale σ of the distractors: their standard deviation, or see the kind.
            permute: whether to scatter the distractors among the real dimensions, instead of
                putting them last; either keeps its own order.
            layout_seed: seed of all that is fixed: places, frequencies, embeddings.
            **parameters: the kind's own parameters, such as `autocorrelation=0.95`.

        Raises:
            TypeError: if an argument is of the wrong type, or the kind has no such parameter.
            ValueError: if the observation space is unsuitable, no kind has this name, or a
                number is out of range.
        """
        arguments: dict[str, Any] = {
            "num_distractors": num_distractors,
            "kind": kind,
            "noise_std": noise_std,
            "permute": permute,
            "layout_seed": layout_seed,
        }
        RecordConstructorArgs.__init__(self, **arguments, **parameters)
        super().__init__(env)
        check_count("num_distractors", num_distractors)
        check_non_negative("noise_std", noise_std)
        check_flag("permute", permute)
        check_count("layout_seed", layout_seed)
        space = _flat_box(env.observation_space)
        if num_distractors > 0:
            _check_floating(space)
        self._shape, self._steps = space.shape, 0

        # Two streams, so that neither the kind moves the places nor the places the kind.
        layout_rng, places_rng = np.random.default_rng(layout_seed).spawn(2)
        self._process = process_of(kind, parameters, besides=arguments)
        self._layout = self._process.layout(
            Site(int(num_distractors), float(noise_std), space, env.action_space), layout_rng
        )
        added = np.repeat([False, True], [space.shape[0], num_distractors])
        self._added = places_rng.permutation(added) if permute else added

        # Of k numbers, so that without any an infinite bound need not fit into the space's type.
        low, high = (
            np.broadcast_to(b, num_distractors) for b in self._process.bounds(self._layout)
        )
        self.observation_space = gym.spaces.Box(
            self._merge(space.low, low), self._merge(space.high, high), dtype=space.low.dtype
        )
        inner_mask = _inner_mask(env, space.shape[0])
        self.distractor_mask = self._merge(inner_mask, True)
        real_names = np.array(names_of(env, space.shape[0]), dtype=object)
        first = inner_mask.sum()
        added_names = [f"distractor_{first + i}" for i in range(num_distractors)]
        self.dimension_names = list(self._merge(real_names, added_names))
        self.mixing = self.mixed_distractors = None
        self._mixing = self._process.mixing(self._layout)
        if self._mixing is not None:
            self._describe_mixtures(self._mixing, inner_mask)
        self.distractor_mask.flags.writeable = False

    def _describe_mixtures(self, mixing: FloatArray, inner_mask: NDArray[np.bool_]) -> None:
        """Describe dimensions none of which is real or a distractor alone."""
        total, num_real = self._added.size, self._added.size - self._added.sum()
        if mixing.shape != (total, total):
            raise ValueError(
                f"{self._process} mixes by a matrix of shape {mixing.shape}: return one of shape "
                f"{(total, total)} from mixing(), for real dimensions and distractors together."
            )
        dtype: Any = self.observation_space.dtype
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (total,), dtype)
        self.distractor_mask = np.zeros(total, dtype=np.bool_)
        order = self._merge(np.arange(num_real), np.arange(num_real, total))
        self.dimension_names = [f"mixture_{i}" for i in order]
        self.mixing = mixing[order]
        self.mixing.flags.writeable = False
        self.mixed_distractors = np.append(inner_mask, np.ones(total - num_real, dtype=np.bool_))
        self.mixed_distractors.flags.writeable = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[FloatArray, dict[str, Any]]:
        """Start an episode; see `gymnasium.Env.reset`. Observations have shape (n + k,)."""
        generator = self.unwrapped.np_random
        observation, info = self.env.reset(seed=seed, options=options)
        if seed is not None and self.unwrapped.np_random is generator:
            # Not passed on, as by an environment with a generator of its own.
            gym.Env.reset(self.unwrapped, seed=seed)
        real = self._receive(observation)
        self._state = self._process.start(self._layout, real, self.np_random)
        return self._observe(real), info

    def step(self, action: Any) -> tuple[FloatArray, SupportsFloat, bool, bool, dict[str, Any]]:
        """Take a step; see `gymnasium.Env.step`. Observations have shape (n + k,)."""
        self._steps += 1
        observation, reward, terminated, truncated, info = self.env.step(action)
        real = self._receive(observation)
        self._state = self._process.advance(self._layout, self._state, action, real, self.np_random)
        return self._observe(real), reward, terminated, truncated, info

    def _receive(self, observation: ArrayLike) -> FloatArray:
        """Check what the wrapped environment returned and make it an array of its space's type.

        Some environments return another, such as integers or a list.
        """
        check_observation(observation, self._shape, self._steps)
        return np.asarray(observation, dtype=self.observation_space.dtype)

    def _observe(self, real: FloatArray) -> FloatArray:
        """Show the distractors of the present state beside the wrapped dimensions."""
        added = self._process.values(self._layout, self._state)
        if self._mixing is not None:
            mixed = self._mixing @ np.concatenate([real, added])
            real, added = np.split(mixed.astype(real.dtype), [len(real)])
        return self._merge(real, added)

    def _merge(self, real: NDArray[ScalarT], added: ArrayLike) -> NDArray[ScalarT]:
        """Put what belongs to the wrapped dimensions and to the added ones in their places."""
        merged = np.empty(self._added.shape, dtype=real.dtype)
        merged[~self._added] = real
        merged[self._added] = added
        return merged


def _flat_box(space: gym.Space[Any]) -> gym.spaces.Box[np.floating[Any]]:
    """Return the space if distractors can be added to it, else say what would help."""
    if not isinstance(space, gym.spaces.Box) or len(space.shape) != 1:
        raise ValueError(
            f"Distractors need observations in a one-dimensional Box, got {space}: "
            "wrap the environment in gymnasium.wrappers.FlattenObservation first."
        )
    return space


def _check_floating(space: gym.Space[Any]) -> None:
    """Refuse a space whose type would round distractors."""
    if not np.issubdtype(space.dtype, np.floating):
        raise ValueError(
            f"Distractors need floating-point observations, got {space}: wrap the environment in "
            "gymnasium.wrappers.DtypeObservation(env, numpy.float32) first."
        )


def _inner_mask(env: gym.Env[FloatArray, Any], num_dimensions: int) -> NDArray[np.bool_]:
    """Return the mask of an environment that may have distractors already, shape (n,)."""
    if not env.has_wrapper_attr("distractor_mask"):
        return np.zeros(num_dimensions, dtype=np.bool_)
    mask = np.array(env.get_wrapper_attr("distractor_mask"), dtype=np.bool_)
    if mask.shape != (num_dimensions,):
        raise ValueError(
            f"{env} has {num_dimensions} dimensions but a distractor mask for {mask.size}: add all "
            "distractors before a wrapper that changes the number of dimensions."
        )
    return mask
