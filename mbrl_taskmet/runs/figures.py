"""Pictures of a metric's weights."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from mbrl_taskmet.agents import MetricWeights

REAL, DISTRACTOR = "tab:blue", "tab:gray"
MOST_LABELS = 40

FloatArray = NDArray[np.float64]


def draw_weights(
    names: Sequence[str],
    timesteps: FloatArray,
    weights: FloatArray,
    path: Path,
    *,
    found: MetricWeights | None = None,
    distractors: NDArray[np.bool_] | None = None,
) -> None:
    """Draw the final weights as bars, and their course over training as a heat map.

    Where the weights depend on state and action, boxes on the bars show their distribution; where
    the metric is full, a third panel shows its matrix.

    Args:
        names: of the n dimensions.
        timesteps: shape (T,).
        weights: shape (T, n).
        path: of the picture.
        found: all that is known of the final metric, if more than its weights is.
        distractors: shape (n,), True for a distractor, which is then drawn in grey.
    """
    num = len(names)
    height = max(3.0, 0.25 * min(num, MOST_LABELS))
    matrix = None if found is None else found.matrix
    ratios = [1, 1.6] if matrix is None else [1, 1.6, height / 4]
    figure = Figure(figsize=(4.2 * sum(ratios), height), layout="constrained")
    axes = figure.subplots(1, len(ratios), width_ratios=ratios)
    for panel in axes:
        panel.set_ylim(num - 0.5, -0.5)
        panel.tick_params(labelleft=panel is axes[0])
    _name_dimensions(axes[0], names)
    _draw_bars(axes[0], weights[-1], np.zeros(num, bool) if distractors is None else distractors)
    axes[0].set_xlabel(f"weight after {int(timesteps[-1]):,} steps")
    if found is not None and found.quantiles is not None:
        _draw_boxes(axes[0], found.quantiles)
    axes[0].set_xlim(left=0)  # last, since it fixes the right end
    _draw_course(axes[1], timesteps, weights)
    if matrix is not None:
        _draw_matrix(axes[2], names, matrix)
    figure.savefig(path, dpi=120)


def _name_dimensions(axes: Axes, names: Sequence[str]) -> None:
    """Put the dimensions on the vertical axis."""
    if len(names) <= MOST_LABELS:
        axes.set_yticks(range(len(names)), names)
    else:
        axes.set_ylabel("dimension")


def _draw_bars(axes: Axes, weights: FloatArray, distractors: NDArray[np.bool_]) -> None:
    colours = np.where(distractors, DISTRACTOR, REAL)
    axes.barh(np.arange(len(weights)), weights, color=list(colours), height=0.9)
    axes.axvline(1.0, color="black", linewidth=0.8, linestyle=":")
    if distractors.any():
        handles = [Patch(color=REAL, label="real"), Patch(color=DISTRACTOR, label="distractor")]
        axes.legend(handles=handles, loc="lower right")


def _draw_boxes(axes: Axes, quantiles: FloatArray) -> None:
    """A box from the first to the third quartile, with the median and whiskers to 5 and 95 %."""
    least, first, median, third, most = quantiles
    places = np.arange(len(median))
    axes.hlines(places, least, most, color="black", linewidth=1)
    axes.barh(places, third - first, 0.5, first, color="white", edgecolor="black")
    axes.vlines(median, places - 0.25, places + 0.25, color="black", linewidth=2)


def _draw_course(axes: Axes, timesteps: FloatArray, weights: FloatArray) -> None:
    places = np.arange(weights.shape[1])
    mesh = axes.pcolormesh(timesteps, places, weights.T, shading="nearest", vmin=0)
    axes.set(xlabel="environment steps", title="weight over training")
    axes.figure.colorbar(mesh, ax=axes, label="weight")


def _draw_matrix(axes: Axes, names: Sequence[str], matrix: FloatArray) -> None:
    """Λ: errors of one sign in two dimensions cost more together where red, less where blue."""
    most = np.abs(matrix).max()
    mesh = axes.imshow(matrix, cmap="RdBu_r", vmin=-most, vmax=most)
    axes.set_title("metric Λ")
    if len(names) <= MOST_LABELS:
        axes.set_xticks(range(len(names)), names, rotation=90)
    axes.figure.colorbar(mesh, ax=axes)
