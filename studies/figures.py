"""A study's pictures, from its results alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import offset_copy

from .curves import LAST, Comparison, Curves, by_panel, curves, position
from .resumable import Row
from .statistics import Summary, interquartile_mean, summarize

COLOURS = 10
"""Of matplotlib's cycle, after which they come again."""


def look(index: int) -> dict[str, Any]:
    """Colour, mark and line of one of many that share a picture, twice as many as colours."""
    mark, line = ("o", "-") if index < COLOURS else ("s", "--")
    return {"color": f"C{index % COLOURS}", "marker": mark, "linestyle": line}


def labelled(name: str, groups: Sequence[Curves]) -> str:
    """A name, and the number of seeds: of each of these groups, if they differ."""
    counts = list(dict.fromkeys(len(group.returns) for group in groups))
    word = "seed" if counts == [1] else "seeds"
    return f"{name} ({'/'.join(map(str, counts))} {word})"


def centred(index: int, count: int) -> float:
    """Where one of so many stands that are beside each other around a common place."""
    return index - (count - 1) / 2


def draw(study: Comparison, rows: Sequence[Row], path: Path) -> None:
    """Draw return and separation over the steps: the interquartile mean, and every seed.

    Where others published returns, a second picture `*_by_number.png` compares the final ones.

    Args:
        study: whose results they are.
        rows: the results.
        path: of the picture.
    """
    panels = by_panel(study, rows)
    figure = Figure(figsize=(12, 3.4 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 2, squeeze=False)
    for (returns, ratios), (panel, groups) in zip(axes, panels.items(), strict=True):
        for group in groups:
            label = labelled(group.variant, [group])
            style = look(position(study, group.variant)) | {"marker": ""}
            for axis, values in ((returns, group.returns), (ratios, group.ratios)):
                mean = interquartile_mean(values.T)
                axis.plot(group.timesteps, mean, label=label, **style)
                axis.plot(group.timesteps, values.T, alpha=0.25, linewidth=0.8, **style)
        named = zip(study.panel, panel.split(", "), strict=True)
        title = ", ".join(f"{column} = {value}" for column, value in named)
        returns.set(title=title, ylabel="episode return")
        ratios.set(ylabel="mean real / mean distractor weight", yscale="log")
        ratios.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
        for axis in (returns, ratios):
            axis.set(xlabel="environment steps")
            axis.xaxis.set_major_locator(MaxNLocator(5))  # long numbers side by side
        if all(np.isnan(group.ratios).all() for group in groups):
            ratios.set_axis_off()  # nothing to separate: only the legend is left
        else:
            ratios.axhline(1, color="black", linewidth=0.8, linestyle=":")
    figure.savefig(path, dpi=80)
    if study.published:
        draw_by_number(study, rows, path.with_name(f"{path.stem}_by_number.png"))


def draw_intervals(
    axis: Axes,
    positions: Sequence[float],
    summaries: Sequence[Summary],
    sideways: bool = False,
    **style: Any,
) -> None:
    """Draw interquartile means, and the intervals around them, at these positions."""
    ends = np.array([[s.iqm - s.low, s.high - s.iqm] for s in summaries]).T
    means = [s.iqm for s in summaries]
    style = {"marker": "o", "markersize": 4, "capsize": 3, **style}
    if sideways:
        axis.errorbar(means, positions, xerr=ends, **style)
    else:
        axis.errorbar(positions, means, yerr=ends, **style)


def draw_by_number(study: Comparison, rows: Sequence[Row], path: Path) -> None:
    """Draw the final return over the number of distractors, beside what others published.

    Args:
        study: whose panels are numbers of distractors.
        rows: its results.
        path: of the picture.
    """
    groups = curves(study, rows)
    numbers = sorted({int(group.panel) for group in groups}.union(*study.published.values()))
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axis = figure.subplots()
    axis.set_xscale("symlog", base=2, linthresh=16)
    axis.set_xticks(numbers, list(map(str, numbers)))
    axis.set_xlim(-3, 1.4 * numbers[-1])
    axis.set(
        xlabel="distractors",
        ylabel=f"return (IQM of the last {LAST} evaluations, 95 %)",
    )
    figure.suptitle(
        f"after {study.timesteps:,} steps\nas reported: {study.published_how}", fontsize="medium"
    )
    variants = {group.variant for group in groups}
    for variant in sorted(variants, key=lambda name: (position(study, name), name)):
        own = sorted((g for g in groups if g.variant == variant), key=lambda g: int(g.panel))
        # Beside each other, since many stand at the same return.
        shift = 3 * centred(position(study, variant), len(study.variants))
        beside = offset_copy(axis.transData, figure, x=shift, units="points")
        draw_intervals(
            axis,
            [int(group.panel) for group in own],
            [summarize(group.final) for group in own],
            label=labelled(variant, own),
            transform=beside,
            **look(position(study, variant)),
        )
    for variant, returns in study.published.items():
        means, errors = zip(*returns.values(), strict=True)
        style = look(position(study, variant)) | {"marker": "x", "linestyle": ":"}
        axis.errorbar(
            list(returns),
            means,
            yerr=errors,
            linewidth=1,
            alpha=0.6,
            label=f"{variant}, as reported",
            **style,
        )
    figure.legend(loc="outside right center", fontsize="small")
    figure.savefig(path, dpi=120)
