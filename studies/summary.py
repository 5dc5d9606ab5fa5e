"""A study's summary, from its results alone."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.table import Column, Table

from .curves import LAST, Comparison, Curves, curves
from .resumable import Row
from .statistics import interquartile_mean, summarize

Measure = tuple[str, Callable[[Curves], str]]
"""What a column means, and a variant's cell in it."""

RETURNS: dict[str, Measure] = {
    "final": (
        f"return, IQM over seeds of the last {LAST} evaluations [95 %]",
        lambda group: _interval(group.final),
    ),
    "area": ("of all evaluations", lambda group: _interval(group.area)),
    "worst": ("final return of the worst seed", lambda group: f"{group.final.min():.0f}"),
}

RATIO: dict[str, Measure] = {
    "ratio": (
        "of a real dimension's weight to a distractor's, median",
        lambda group: f"{np.median(group.ratios[:, -1]):.1f}",
    ),
}

AUC: dict[str, Measure] = {
    "AUC": (
        "of ranking real dimensions above distractors, worst seed",
        lambda group: f"{group.aucs[:, -1].min():.3f}",
    ),
}

ERROR: dict[str, Measure] = {
    "error": (
        "the model's squared one, IQM of the same evaluations as final",
        lambda group: f"{interquartile_mean(group.final_error):.2g}",
    ),
}


def summary_table(study: Comparison, rows: Sequence[Row]) -> Table:
    """Final performance and area under the curve of each variant, and how its metric separates.

    Where there is nothing to be separated, the model's error instead.
    """
    groups = curves(study, rows)
    weighed = any(np.isfinite(group.ratios).any() for group in groups)
    ranked = any(np.isfinite(group.aucs).any() for group in groups)
    measures = RETURNS | (RATIO if weighed else ERROR) | (AUC if ranked else {})
    table = Table(
        *[Column(name, overflow="fold") for name in (", ".join(study.panel), "variant")],
        *[
            Column(name, justify="right", min_width=5, overflow="fold")
            for name in ("seeds", *measures)
        ],
        title=study.question,
        caption="; ".join(f"{name}: {meaning}" for name, (meaning, _) in measures.items()),
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for group in groups:
        cells = [cell(group) for _, cell in measures.values()]
        table.add_row(group.panel, group.variant, str(len(group.returns)), *cells)
    return table


def _interval(scores: NDArray[np.float64]) -> str:
    """Of each seed's score; of one or two seeds there is no interval to speak of."""
    iqm, low, high = summarize(scores)
    return f"{iqm:.0f}" if len(scores) < 3 else f"{iqm:.0f} [{low:.0f}, {high:.0f}]"
