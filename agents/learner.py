"""The imperative shell around the pure update: it holds the state that the update replaces."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from stable_baselines3.common.running_mean_std import RunningMeanStd
from torch import Tensor
from torch.utils._pytree import tree_map

from ..batch import Batch
from ..compilation import CompiledFunction
from ..normalizer import identity_like, standardizer
from ..train_state import Info, TrainState
from ..trilevel import ModelBasedUpdate

FEWEST_OBSERVED = 50
"""Observations before their spread decides anything; that of a few says little."""

OBSERVED = ("mean", "var", "count")
"""Of the observations so far, as `RunningMeanStd` names them."""


class Learner:
    """An update, the state that it has reached, and the source of its randomness.

    Saved beside the policy, so that a loaded agent continues where the saved one stood.

    Args:
        update: the pure update.
        generator: drives the initial parameters and the replay's sampling.
        device: where the state lies.
        dtype: of the state.
    """

    def __init__(
        self,
        update: ModelBasedUpdate,
        generator: torch.Generator,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.update = update
        self._update: Callable[..., tuple[TrainState, Info]] = update.__call__
        self._fit: Callable[..., tuple[TrainState, Info]] = update.fit
        self.generator = generator
        self.state = tree_map(lambda tensor: tensor.to(device), update.init(generator, dtype))
        # By default it begins with a variance of one, a floor under all that is small.
        self._observed = RunningMeanStd(epsilon=0.0, shape=(update.model.num_observations,))
        self._gathered = update.relevance.gathers

    def observe(self, observations: np.ndarray) -> None:
        """Count observations of shape (N, n) in the running mean and variance."""
        if len(observations) == 1:  # its own mean, at half of the cost
            self._observed.update_from_moments(observations[0], np.zeros(()), 1)
        else:
            self._observed.update(observations.astype(np.float64))

    @property
    def num_observed(self) -> int:
        """Observations counted so far."""
        return int(self._observed.count)

    @property
    def observed_std(self) -> np.ndarray | None:
        """Standard deviation of each dimension so far, shape (n,); None if too few were seen.

        One for a dimension that has not moved, by more than its type rounds: it has no unit yet.
        """
        if self._observed.count < FEWEST_OBSERVED:
            return None
        std: np.ndarray = np.sqrt(self._observed.var)
        rounding = np.finfo(np.float32).eps * np.abs(self._observed.mean)
        return np.where(std > rounding, std, 1.0)

    def renew_normalizer(self) -> None:
        """Let what has been observed so far decide the units of observations, if it is enough."""
        std = self.observed_std
        if std is None:
            return
        like = self.state.normalizer.mean
        moments = (torch.as_tensor(moment).to(like) for moment in (self._observed.mean, std))
        self.state = self.state._replace(normalizer=standardizer(*moments))

    def drop_normalizer(self) -> None:
        """Leave observations as they are."""
        mean = self.state.normalizer.mean
        self.state = self.state._replace(normalizer=identity_like(mean, len(mean)))

    def anneal(self, share: float) -> None:
        """Leave this share of the critic's and the policy's step size, and of the gates' pace."""
        self.state = self.state._replace(annealing=torch.full_like(self.state.annealing, share))

    def compile(self, announce: Callable[[], None]) -> None:
        """Compile the update when it is next called, if it is not compiled already.

        Its two inner levels, which go on alone until the metric's warm-up is over, are a graph of
        their own, and the only one if the update does not compile as a whole.

        Args:
            announce: called just before.
        """
        if isinstance(self._fit, CompiledFunction):
            return
        self._fit = CompiledFunction(self.update.fit, announce)
        if self.update.compiles:
            self._update = CompiledFunction(self.update.__call__, announce)

    def step(self, batch: Batch, task_batch: Batch, *, task: bool = True) -> Info:
        """Replace the state by the updated one.

        Args:
            batch: for the model and the critic.
            task_batch: for the task loss.
            task: whether the task level takes part.

        Returns:
            The update's scalars.
        """
        with torch.no_grad():
            if task:
                self.state, info = self._update(self.state, batch, task_batch)
            else:
                self.state, info = self._fit(self.state, batch)
        return info

    def state_dict(self) -> dict[str, Tensor]:
        """All tensors by name, what was observed, and the generator's state."""
        return {
            **_flatten(self.state),
            **{
                name: torch.from_numpy(np.array(vars(self._observed)[name], np.float64))
                for name in OBSERVED
            },
            "generator": self.generator.get_state(),
            "gathered": torch.tensor([*self._gathered.encode()], dtype=torch.uint8),
        }

    def load_state_dict(self, state_dict: Mapping[str, Tensor], strict: bool = True) -> None:
        """Put saved tensors in place.

        Args:
            state_dict: the tensors by name.
            strict: whether all have to be there; otherwise what is missing stays as it is.

        Raises:
            ValueError: if names or shapes are those of another agent or environment.
        """
        expected = self.state_dict()
        own = expected.pop("gathered")  # what its evidence is of, which older files do not say
        gathered = bytes(state_dict.get("gathered", own).tolist()).decode()
        if not strict:
            state_dict = expected | dict(state_dict)
        for name, tensor in expected.items():
            found = state_dict.get(name)
            if found is None or found.shape != tensor.shape:
                shape = "is missing" if found is None else f"has shape {tuple(found.shape)}"
                raise ValueError(
                    f"The checkpoint does not belong to this agent: {name} {shape}, expected "
                    f"shape {tuple(tensor.shape)}. Load it with the class, environment and "
                    "sizes it was trained with."
                )
        self.generator.set_state(state_dict["generator"].cpu())
        for name in OBSERVED:
            setattr(self._observed, name, state_dict[name].cpu().numpy().copy())
        tensors = iter([state_dict[name].to(expected[name]) for name in _flatten(self.state)])
        state = tree_map(lambda _: next(tensors), self.state)
        # Judged as this agent does, whatever gates it was saved with; of another relevance's
        # evidence it can make nothing.
        evidence, gathers = state.sight.evidence, self.update.relevance.gathers
        known = evidence if gathers in ("", gathered) else torch.zeros_like(evidence)
        self._gathered = gathers or gathered
        self.state = state._replace(sight=self.update.relevance.judge(known))


def _flatten(state: TrainState) -> dict[str, Tensor]:
    flat: dict[str, Tensor] = {}
    for name, value in state._asdict().items():
        if isinstance(value, Tensor):
            flat[name] = value
        else:
            flat |= {f"{name}.{key}": tensor for key, tensor in value._asdict().items()}
    return flat
