"""A study's learning curves, from its results alone."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .resumable import Row

LAST = 5
"""Evaluations at the end of a run whose mean is its final performance."""


class Comparison(Protocol):
    """What tables and pictures have to know of a study."""

    @property
    def question(self) -> str:
        """That it answers."""

    @property
    def variants(self) -> Mapping[str, Any]:
        """What it compares, by name."""

    @property
    def timesteps(self) -> int:
        """Of a run."""

    @property
    def columns(self) -> Sequence[str]:
        """Of its results."""

    @property
    def panel(self) -> Sequence[str]:
        """The columns whose combinations of values get a picture each."""

    @property
    def published(self) -> Mapping[str, Mapping[int, tuple[float, float]]]:
        """Mean return and its standard error elsewhere, by variant and number of distractors."""

    @property
    def published_how(self) -> str:
        """How others came to it."""


class Curves(NamedTuple):
    """The runs of one variant in one panel.

    Attributes:
        panel: values of the study's panel columns.
        variant: its name.
        timesteps: shape (T,).
        returns: shape (seeds, T).
        ratios: mean real over mean distractor weight, shape (seeds, T); NaN where there is none.
        aucs: ranking of real dimensions above distractors, likewise.
        errors: the model's squared error on the real dimensions, likewise.
    """

    panel: str
    variant: str
    timesteps: NDArray[np.float64]
    returns: NDArray[np.float64]
    ratios: NDArray[np.float64]
    aucs: NDArray[np.float64]
    errors: NDArray[np.float64]

    @property
    def final(self) -> NDArray[np.float64]:
        """Mean return of each seed's last evaluations, shape (seeds,)."""
        mean: NDArray[np.float64] = self.returns[:, -LAST:].mean(1)
        return mean

    @property
    def area(self) -> NDArray[np.float64]:
        """Mean return of each seed's evaluations, its area under the curve, shape (seeds,)."""
        mean: NDArray[np.float64] = self.returns.mean(1)
        return mean

    @property
    def final_error(self) -> NDArray[np.float64]:
        """Mean error of each seed's model at its last evaluations, shape (seeds,)."""
        mean: NDArray[np.float64] = self.errors[:, -LAST:].mean(1)
        return mean


def curves(study: Comparison, rows: Sequence[Row]) -> list[Curves]:
    """The finished runs, gathered by panel and variant, variants in the order of the study."""
    name = "variant" if "variant" in study.columns else "agent"
    # By panel, so that one's variants follow each other, then by variant, then by seed.
    runs: dict[str, dict[str, dict[str, list[Row]]]] = {}
    for row in rows:
        panel = ", ".join(row[column] for column in study.panel)
        seeds = runs.setdefault(panel, {}).setdefault(row[name], {})
        seeds.setdefault(row["seed"], []).append(row)
    return [
        Curves(
            panel,
            variant,
            timesteps=_values(seeds, "timesteps")[0],
            returns=_values(seeds, "episode_return"),
            ratios=_values(seeds, "real_over_distractor_ratio"),
            aucs=_values(seeds, "ranking_auc"),
            errors=_values(seeds, "model_mse_real"),
        )
        for panel, variants in runs.items()
        for variant, seeds in sorted(variants.items(), key=lambda item: position(study, item[0]))
    ]


def by_panel(study: Comparison, rows: Sequence[Row]) -> dict[str, list[Curves]]:
    """The same by panel."""
    panels: dict[str, list[Curves]] = {}
    for group in curves(study, rows):
        panels.setdefault(group.panel, []).append(group)
    return panels


def position(study: Comparison, variant: str) -> int:
    """Where a variant stands in the study; last if it is not in it."""
    names = list(study.variants)
    return names.index(variant) if variant in names else len(names)


def _values(runs: Mapping[str, Sequence[Row]], column: str) -> NDArray[np.float64]:
    """A column of the runs of each seed, shape (seeds, T); NaN where they hold nothing."""
    return np.array([[float(row.get(column) or "nan") for row in run] for run in runs.values()])
