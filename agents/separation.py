"""How well weights tell real dimensions from distractors, which no agent is told."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


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

    @classmethod
    def of(cls, weights: NDArray[np.float64], distractors: NDArray[np.bool_]) -> Self:
        """Compare the weights of both.

        Args:
            weights: shape (n,).
            distractors: shape (n,), True for a distractor.

        Raises:
            ValueError: if there is nothing to compare, since none is a distractor, or all are, or
                if the mask is of another length.
        """
        if distractors.shape != weights.shape:
            raise ValueError(
                f"The mask is of {distractors.size} dimensions, and there are {weights.size} "
                "weights: take it from the environment in which the agent learned."
            )
        if distractors.all() or not distractors.any():
            raise ValueError(
                "Weights of real dimensions and of distractors compare only where there are both: "
                "leave the comparison out where distractor_mask is True or False everywhere."
            )
        real, noise = weights[~distractors], weights[distractors]
        # A tie goes to the distractor, so that equal weights are not taken for knowledge.
        top = np.lexsort((~distractors, -weights))[: len(real)]
        ratio = real.mean() / noise.mean() if noise.any() else np.inf
        wins = (real[:, None] > noise).mean() + 0.5 * (real[:, None] == noise).mean()
        return cls(
            real_over_distractor_ratio=float(ratio),
            real_on_top=int((~distractors)[top].sum()),
            ranking_auc=float(wins),
        )

    def as_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return dict(self.__dict__)
