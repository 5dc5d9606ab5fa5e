"""A study's summary, from its results alone."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.table import Column, Table

from .curves import LAST, Comparison, curves
from .resumable import Row
from .statistics import summarize


def summary_table(study: Comparison, rows: Sequence[Row]) -> Table:
    """Final performance, area under the curve and separation at the end of each variant."""
    ranked = "ranking_auc" in study.columns
    meanings = {
        "final": f"return, IQM over seeds of the last {LAST} evaluations [95 %]",
        "area": "of all evaluations",
        "worst": "final return of the worst seed",
        "ratio": "of a real dimension's weight to a distractor's, median",
    }
    if ranked:
        meanings["AUC"] = "of ranking real dimensions above distractors, worst seed"
    table = Table(
        *[Column(name, overflow="fold") for name in (", ".join(study.panel), "variant")],
        *[
            Column(name, justify="right", min_width=5, overflow="fold")
            for name in ("seeds", *meanings)
        ],
        title=study.question,
        caption="; ".join(f"{name}: {meaning}" for name, meaning in meanings.items()),
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for group in curves(study, rows):
        table.add_row(
            group.panel,
            group.variant,
            str(len(group.returns)),
            _interval(group.final),
            _interval(group.area),
            f"{group.final.min():.0f}",
            f"{np.median(group.ratios[:, -1]):.1f}",
            *[f"{group.aucs[:, -1].min():.3f}"] * ranked,
        )
    return table


def _interval(scores: NDArray[np.float64]) -> str:
    """Of each seed's score; of one or two seeds there is no interval to speak of."""
    iqm, low, high = summarize(scores)
    return f"{iqm:.0f}" if len(scores) < 3 else f"{iqm:.0f} [{low:.0f}, {high:.0f}]"
