"""What a metric says about each dimension of the observation, in a form to be read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table

FloatArray = NDArray[np.float64]

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of the quantiles by which a distribution of weights is described."""

LONGEST_BAR = 30
"""Characters of the heaviest dimension's bar in a table; every further column takes ten."""


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
        heavier: NDArray[np.bool_] = self.weights[None, :] > self.weights[:, None]
        ranks: NDArray[np.int64] = 1 + heavier.sum(1)
        return ranks

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """What is known of each dimension by name, heaviest first: all but the matrix."""
        order = np.argsort(-self.weights, kind="stable")
        return {self.names[i]: self._entry(int(i)) for i in order}

    def _entry(self, i: int) -> dict[str, Any]:
        entry: dict[str, Any] = {"weight": float(self.weights[i]), "rank": int(self.ranks[i])}
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

    def table(self, rows: int | None = None) -> Table:
        """A table, heaviest first, with a column for all that is known.

        Args:
            rows: how many dimensions to show; all of them if None.
        """
        columns = {t: cell for t, (key, cell) in _FURTHER_COLUMNS.items() if self._knows(key)}
        longest = max(LONGEST_BAR - 10 * len(columns), 0)
        table = Table("rank", "dimension", "weight", *columns, *([""] if longest else []))
        scale = longest / max(self.weights.max(), np.finfo(float).tiny)
        for name, entry in list(self.as_dict().items())[:rows]:
            cells = [cell(entry) for cell in columns.values()]
            bar = ["█" * round(entry["weight"] * scale)] if longest else []
            table.add_row(str(entry["rank"]), escape(name), _figures(entry["weight"]), *cells, *bar)
        if rows is not None and rows < len(self.names):
            table.caption = f"{len(self.names) - rows} more dimensions not shown"
        return table

    def _knows(self, field: str) -> bool:
        return getattr(self, field) is not None

    def separation(self, distractors: Sequence[bool] | NDArray[np.bool_]) -> "Separation":
        """How well the weights tell real dimensions from distractors: for evaluation only.

        Args:
            distractors: shape (n,), True for a distractor.

        Raises:
            ValueError: if there is nothing to compare, since none is a distractor, or all are, or
                if the mask is of another length.
        """
        mask = np.asarray(distractors, dtype=bool)
        if mask.shape != self.weights.shape:
            raise ValueError(
                f"The mask is of {mask.size} dimensions, and there are {self.weights.size} "
                "weights: take it from the environment in which the agent learned."
            )
        if mask.all() or not mask.any():
            raise ValueError(
                "Weights of real dimensions and of distractors compare only where there are both: "
                "leave the comparison out where distractor_mask is True or False everywhere."
            )
        real, noise = self.weights[~mask], self.weights[mask]
        # A tie goes to the distractor, so that equal weights are not taken for knowledge.
        top = np.lexsort((~mask, -self.weights))[: len(real)]
        ratio = real.mean() / noise.mean() if noise.any() else np.inf
        wins = (real[:, None] > noise).mean() + 0.5 * (real[:, None] == noise).mean()
        return Separation(
            real_over_distractor_ratio=float(ratio),
            real_on_top=int((~mask)[top].sum()),
            ranking_auc=float(wins),
        )

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
        path = Path(path)
        arrays = {name: getattr(self, name) for name in _ARRAYS if self._knows(name)}
        unfinished = path.with_name(path.name + ".part")
        with unfinished.open("wb") as file:
            np.savez(file, names=np.array(self.names, dtype=np.str_), **arrays)
        unfinished.replace(path)

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


def _figures(value: float) -> str:
    return f"{value:#.3g}"


_FURTHER_COLUMNS: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "per std": ("per_std", lambda entry: _figures(entry["weight_per_std"])),
    "per unit": ("per_unit", lambda entry: _figures(entry["weight_per_unit"])),
    "5–95 %": (
        "quantiles",
        lambda entry: "–".join(f"{entry['quantiles'][level]:.2g}" for level in ("0.05", "0.95")),
    ),
}
"""Columns that a table has where their field is known: title, field and cell."""


@dataclass(frozen=True)
class Separation:
    """How well weights tell real dimensions from distractors.

    Attributes:
        real_over_distractor_ratio: mean weight of the real dimensions over the distractors',
            infinite if those weigh nothing.
        real_on_top: how many of the r heaviest dimensions are real, r the number of real ones.
        ranking_auc: probability that a real dimension outweighs a distractor.
    """

    real_over_distractor_ratio: float
    real_on_top: int
    ranking_auc: float

    def as_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return dict(self.__dict__)
