"""Learned weights as a table, heaviest first."""

from collections.abc import Callable
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table

from mbrl_taskmet.agents import MetricWeights

LONGEST_BAR = 30
"""Characters of the heaviest dimension's bar; every further column takes ten."""


def weights_table(weights: MetricWeights, rows: int | None = None) -> Table:
    """A table with a column for all that is known.

    Args:
        weights: of the dimensions.
        rows: how many dimensions to show; all of them if None.
    """
    entries = weights.as_dict()
    known = next(iter(entries.values()))
    columns = {title: cell for title, (key, cell) in _FURTHER_COLUMNS.items() if key in known}
    longest = max(LONGEST_BAR - 10 * len(columns), 0)
    table = Table("rank", "dimension", "weight", *columns, *([""] if longest else []))
    scale = longest / max(weights.weights.max(), np.finfo(float).tiny)
    for name, entry in list(entries.items())[:rows]:
        cells = [cell(entry) for cell in columns.values()]
        bar = ["█" * round(entry["weight"] * scale)] if longest else []
        table.add_row(str(entry["rank"]), escape(name), _figures(entry["weight"]), *cells, *bar)
    if rows is not None and rows < len(entries):
        table.caption = f"{len(entries) - rows} more dimensions not shown"
    return table


def _figures(value: float) -> str:
    return f"{value:#.3g}"


def _range(entry: dict[str, Any]) -> str:
    return "–".join(f"{entry['quantiles'][level]:.2g}" for level in ("0.05", "0.95"))


_FURTHER_COLUMNS: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "per std": ("weight_per_std", lambda entry: _figures(entry["weight_per_std"])),
    "per unit": ("weight_per_unit", lambda entry: _figures(entry["weight_per_unit"])),
    "5–95 %": ("quantiles", _range),
}
"""Columns that a table has where a dimension's entry has this key: title, key and cell."""
