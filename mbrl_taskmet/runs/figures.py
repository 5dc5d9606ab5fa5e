"""Pictures of a metric's weights."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

REAL, DISTRACTOR = "tab:blue", "tab:gray"
MOST_LABELS = 40


def draw_weights(
    names: Sequence[str],
    timesteps: NDArray[np.float64],
    weights: NDArray[np.float64],
    path: Path,
    distractors: NDArray[np.bool_] | None = None,
) -> None:
    """Draw the final weights as bars, and their course over training as a heat map.

    Args:
        names: of the n dimensions.
        timesteps: shape (T,).
        weights: shape (T, n).
        path: of the picture.
        distractors: shape (n,), True for a distractor, which is then drawn in grey.
    """
    num = len(names)
    figure = Figure(figsize=(11, max(3.0, 0.25 * min(num, MOST_LABELS))), layout="constrained")
    bars, heat = figure.subplots(1, 2, sharey=True, width_ratios=[1, 1.6])
    places = np.arange(num)
    mask = np.zeros(num, dtype=bool) if distractors is None else distractors
    colours = np.where(mask, DISTRACTOR, REAL)
    bars.barh(places, weights[-1], color=list(colours), height=0.9)
    bars.axvline(1.0, color="black", linewidth=0.8, linestyle=":")
    bars.set(xlabel=f"weight after {int(timesteps[-1]):,} steps", ylim=(num - 0.5, -0.5))
    if num <= MOST_LABELS:
        bars.set_yticks(places, names)
    else:
        bars.set_ylabel("dimension")
    if mask.any():
        handles = [Patch(color=REAL, label="real"), Patch(color=DISTRACTOR, label="distractor")]
        bars.legend(handles=handles, loc="lower right")
    mesh = heat.pcolormesh(timesteps, places, weights.T, shading="nearest", vmin=0)
    heat.set(xlabel="environment steps", title="weight over training")
    figure.colorbar(mesh, ax=heat, label="weight")
    figure.savefig(path, dpi=120)
