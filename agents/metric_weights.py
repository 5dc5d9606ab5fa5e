"""What a metric says about each dimension of the observation, in a form to be read."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..whole_files import replacing
from .separation import Separation

FloatArray = NDArray[np.float64]

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of the quantiles by which a distribution of weights is described."""


@dataclass(frozen=True)
class MetricWeights:
    """The weight of each dimension's prediction error, one where all count alike.

    The agent trains in its own units: of the dimension's running standard deviation if it
    normalises observations, else of the environment. A weight is the cost of a squared error of
    one such unit. What it costs to be off by one standard deviation compares between dimensions
    of different scale; what it costs to be off by one of the environment's units does not.

    Attributes:
        names: of the dimensions.
        weights: diagonal of Λ in the agent's units, shape (n,); for a metric that depends on state
            and action its mean over the replay buffer.
        per_std: the weight of an error of one standard deviation, λ_i (std_i / unit_i)², shape
            (n,); None where too little was observed to tell.
        per_unit: the weight of an error of one in the environment's units, λ_i / unit_i², shape
            (n,), whatever `VecNormalize` made of them; None if unknown, as in an agent that
            learned under it and was loaded without it.
        quantiles: of each weight over the replay buffer at `LEVELS`, in the agent's units, shape
            (5, n); None where all states and actions have one metric.
        matrix: Λ in the agent's units where it is more than its diagonal, shape (n, n), or its mean
            over part of the replay buffer; else None.
        ranks: shape (n,), 1 for the heaviest in the agent's units; equal weights share a rank.
    """

    names: tuple[str, ...]
    weights: FloatArray
    per_std: FloatArray | None = None
    per_unit: FloatArray | None = None
    quantiles: FloatArray | None = None
    matrix: FloatArray | None = None

    @property
    def ranks(self) -> NDArray[np.int64]:
        """One more than the number of heavier dimensions."""
        heaviest_first = np.sort(-self.weights)
        ranks: NDArray[np.int64] = 1 + np.searchsorted(heaviest_first, -self.weights)
        return ranks

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """What is known of each dimension by name, heaviest first: all but the matrix."""
        order, ranks = np.argsort(-self.weights, kind="stable"), self.ranks
        return {self.names[i]: self._entry(int(i), int(ranks[i])) for i in order}

    def _entry(self, i: int, rank: int) -> dict[str, Any]:
        entry: dict[str, Any] = {"weight": float(self.weights[i]), "rank": rank}
        if self.per_std is not None:
            entry["weight_per_std"] = float(self.per_std[i])
        if self.per_unit is not None:
            entry["weight_per_unit"] = float(self.per_unit[i])
        if self.quantiles is not None:
            levels = zip(LEVELS, self.quantiles[:, i], strict=True)
            entry["quantiles"] = {str(level): float(value) for level, value in levels}
        return entry

    def __str__(self) -> str:
        """One line for each dimension, heaviest first: rank, name, weight."""
        width = max(len(name) for name in self.names)
        return "\n".join(
            f"{entry['rank']:>4}  {name:<{width}}  {entry['weight']:#.3g}"
            for name, entry in self.as_dict().items()
        )

    def _knows(self, field: str) -> bool:
        return getattr(self, field) is not None

    def separation(self, distractors: Sequence[bool] | NDArray[np.bool_]) -> Separation:
        """How well the weights tell real dimensions from distractors: for evaluation only.

        Args:
            distractors: shape (n,), True for a distractor.

        Raises:
            ValueError: if there is nothing to compare, since none is a distractor, or all are, or
                if the mask is of another length.
        """
        return Separation.of(self.weights, np.asarray(distractors, dtype=bool))

    def before_mixing(self, mixing: FloatArray) -> "MetricWeights":
        """The weights along what an environment mixed into its observations: for evaluation only.

        Observations are o = R z. In the environment's units Λ is U Λ U, with 1 / unit_i on the
        diagonal of U, and what an error in z costs is Rᵀ U Λ U R. Its diagonal differs between
        directions even for Λ = I, since mixtures have units of their own, so that each direction is
        measured in the unit in which a metric that knows nothing weighs one there.

        Args:
            mixing: R, shape (n, n).

        Raises:
            ValueError: if the environment's units are not known, or R is of another shape.
        """
        if np.shape(mixing) != (len(self.names),) * 2:
            raise ValueError(
                f"The mixing is of shape {np.shape(mixing)}, not {(len(self.names),) * 2}: take it "
                "from the environment in which the agent learned."
            )
        if self.per_unit is None:
            raise ValueError(
                "Weights turn back in the environment's units, which are not known here: read them "
                "from the agent that learned, before it is saved."
            )
        # What weighs nothing does so in any unit.
        squared = np.divide(
            self.per_unit, self.weights, out=np.ones_like(self.weights), where=self.weights > 0
        )
        inverse_units = np.sqrt(squared)
        matrix = np.diag(self.weights) if self.matrix is None else self.matrix
        # U R, by columns of length one: R in those units.
        turning = inverse_units[:, None] * mixing
        turning /= np.linalg.norm(turning, axis=0)
        # Rounded, so that directions which weigh the same do so to the last digit.
        turned = np.round(turning.T @ matrix @ turning, 12)
        names = tuple(f"direction_{i}" for i in range(len(turned)))
        return MetricWeights(names, np.diag(turned), matrix=turned)

    @classmethod
    def mean(cls, found: Sequence["MetricWeights"]) -> Self:
        """The mean over agents of one environment, of what is known of all of them.

        Quantiles become the mean of the agents' quantiles.
        """
        means = {
            name: np.mean([getattr(weights, name) for weights in found], axis=0)
            for name in _ARRAYS
            if all(weights._knows(name) for weights in found)
        }
        return cls(found[0].names, **means)

    def save(self, path: str | Path) -> None:
        """Write all fields to an NPZ file; who reads it meanwhile finds the old one or the new."""
        arrays = {name: getattr(self, name) for name in _ARRAYS if self._knows(name)}
        with replacing(Path(path)) as part, part.open("wb") as file:
            np.savez(file, names=np.array(self.names, dtype=np.str_), **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises:
            OSError: if the file cannot be read.
            ValueError: if it is damaged.
        """
        try:
            with Path(path).open("rb") as file, np.load(file) as archive:
                arrays = {name: archive[name] for name in _ARRAYS if name in archive}
                return cls(tuple(archive["names"].tolist()), **arrays)
        except OSError:
            raise
        except Exception as error:  # a damaged archive can end in any of them
            raise ValueError(f"{path} is damaged: train the agent again.") from error


_ARRAYS = tuple(field.name for field in fields(MetricWeights) if field.name != "names")
