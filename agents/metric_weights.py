"""What a metric says about each dimension of the observation, in a form to be read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table


@dataclass(frozen=True)
class MetricWeights:
    """The weight of each dimension's prediction error, one where all count alike.

    Attributes:
        names: of the dimensions.
        weights: diagonal of Λ, shape (n,); for a metric that depends on state and action its
            mean over the replay buffer.
        ranks: shape (n,), 1 for the heaviest; equal weights share a rank.
    """

    names: tuple[str, ...]
    weights: NDArray[np.float64]

    @property
    def ranks(self) -> NDArray[np.int64]:
        """One more than the number of heavier dimensions."""
        heavier: NDArray[np.bool_] = self.weights[None, :] > self.weights[:, None]
        ranks: NDArray[np.int64] = 1 + heavier.sum(1)
        return ranks

    def as_dict(self) -> dict[str, dict[str, float | int]]:
        """Weight and rank by name, heaviest first."""
        return {
            self.names[i]: {"weight": float(self.weights[i]), "rank": int(self.ranks[i])}
            for i in np.argsort(-self.weights, kind="stable")
        }

    def __str__(self) -> str:
        """One line for each dimension, heaviest first."""
        width = max(len(name) for name in self.names)
        return "\n".join(
            f"{entry['rank']:>4}  {name:<{width}}  {entry['weight']:#.3g}"
            for name, entry in self.as_dict().items()
        )

    def table(self, rows: int | None = None) -> Table:
        """A table, heaviest first.

        Args:
            rows: how many dimensions to show; all of them if None.
        """
        table = Table("rank", "dimension", "weight", "")
        longest = 30 / max(self.weights.max(), np.finfo(float).tiny)
        for name, entry in list(self.as_dict().items())[:rows]:
            bar = "█" * round(entry["weight"] * longest)
            table.add_row(str(entry["rank"]), name, f"{entry['weight']:#.3g}", bar)
        if rows is not None and rows < len(self.names):
            table.caption = f"{len(self.names) - rows} more dimensions not shown"
        return table

    def separation(self, distractors: Sequence[bool] | NDArray[np.bool_]) -> "Separation":
        """How well the weights tell real dimensions from distractors: for evaluation only.

        Args:
            distractors: shape (n,), True for a distractor.

        Raises:
            ValueError: if there is nothing to compare, since none is a distractor, or all are.
        """
        mask = np.asarray(distractors, dtype=bool)
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
