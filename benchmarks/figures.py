"""A picture of how the update's time grows, from the rows of the scaling benchmark."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure


def draw_scaling(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw processor time beside the arithmetic's limit, a panel for each quantity varied.

    Args:
        rows: of `ScalingBenchmark`.
        path: of the picture.
    """
    panels = list(dict.fromkeys(row["varied"] for row in rows))
    figure = Figure(figsize=(3.6 * len(panels), 3.4), layout="constrained")
    for axis, varied in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        points = [row for row in rows if row["varied"] == varied]
        values = [float(point["value"]) for point in points]
        for column, label in (("cpu_ms", "compiled update"), ("limit_ms", "arithmetic's limit")):
            axis.plot(values, [float(point[column]) for point in points], "o-", label=label)
        # Zero distractors have a place too.
        axis.set_xscale("symlog" if min(values) == 0 else "log", base=2)
        axis.set(yscale="log", xlabel=varied.replace("_", " "), ylabel="processor time (ms)")
        axis.legend()
    figure.savefig(path, dpi=120)
