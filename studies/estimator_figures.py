"""What the study of hypergradients shows: each estimator's measures, and their course."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from .curves import Comparison
from .estimators import ESTIMATORS, MEASURES, SNR_REAL
from .figures import look
from .resumable import Row


def table(study: Comparison, rows: Sequence[Row]) -> Table:
    """Each estimator's measures, means over seeds and stages."""
    shown = Table("trained", "estimator", "runs", *MEASURES, title=study.question)
    for (variant, estimator), group in _grouped(rows).items():
        means = [np.mean([float(row[measure]) for row in group]) for measure in MEASURES]
        seeds = len({row["seed"] for row in group})
        shown.add_row(variant, estimator, str(seeds), *(f"{mean:.3f}" for mean in means))
    return shown


def draw(study: Comparison, rows: Sequence[Row], path: Path) -> None:
    """Draw cosine, ranking and signal-to-noise ratios over the stages, means over seeds."""
    variants = list(dict.fromkeys(row["variant"] for row in rows))
    figure = Figure(figsize=(18, 3.8 * len(variants)), layout="constrained")
    axes = figure.subplots(len(variants), 3, squeeze=False)
    for (variant, estimator), group in _grouped(rows).items():
        cosine, ranking, noise = axes[variants.index(variant)]
        style = look(list(ESTIMATORS).index(estimator))
        for axis, measure in ((cosine, "cosine"), (ranking, "ranking_auc")):
            axis.plot(*_course(group, measure), label=estimator, **style)
            axis.set(ylabel=f"{measure} of the mean estimate")
        if estimator == "shipped":
            for measure in SNR_REAL:
                noise.plot(*_course(group, measure), "o-", label=measure)
            noise.plot(*_course(group, "snr_distractor"), "k:", label="snr_distractor")
            noise.set(ylabel="mean / standard deviation, shipped")
        for axis in (cosine, ranking, noise):
            axis.set(title=f"trained: {variant}", xlabel="environment steps")
    axes[0, 2].legend(fontsize="x-small")
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=len(ESTIMATORS) // 2 + 1,
        fontsize="small",
    )
    figure.savefig(path, dpi=100)


def _course(rows: Sequence[Row], measure: str) -> tuple[list[int], list[float]]:
    """The stages, and the mean over seeds at each."""
    by_stage: dict[int, list[float]] = {}
    for row in rows:
        by_stage.setdefault(int(row["timesteps"]), []).append(float(row[measure]))
    return list(by_stage), [float(np.mean(values)) for values in by_stage.values()]


def _grouped(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """By what was trained and by estimator, in the order of `ESTIMATORS`."""
    variants = dict.fromkeys(row["variant"] for row in rows)
    groups: dict[tuple[str, str], list[Row]] = {key: [] for key in product(variants, ESTIMATORS)}
    for row in rows:
        groups[row["variant"], row["estimator"]].append(row)
    return groups
