"""A study's learning curves and summary, from its results alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import offset_copy
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.table import Column, Table

from .resumable import Row
from .statistics import Summary, interquartile_mean, summarize

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


def colour(study: Comparison, variant: str) -> str:
    """Of a variant, the same in all panels and pictures of a study."""
    return f"C{position(study, variant)}"


def _values(runs: Mapping[str, Sequence[Row]], column: str) -> NDArray[np.float64]:
    """A column of the runs of each seed, shape (seeds, T); NaN where they hold nothing."""
    return np.array([[float(row.get(column) or "nan") for row in run] for run in runs.values()])


def labelled(name: str, groups: Sequence[Curves]) -> str:
    """A name, and the number of seeds: of each of these groups, if they differ."""
    counts = list(dict.fromkeys(len(group.returns) for group in groups))
    word = "seed" if counts == [1] else "seeds"
    return f"{name} ({'/'.join(map(str, counts))} {word})"


def centred(index: int, count: int) -> float:
    """Where one of so many stands that are beside each other around a common place."""
    return index - (count - 1) / 2


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
            color = colour(study, group.variant)
            for axis, values in ((returns, group.returns), (ratios, group.ratios)):
                mean = interquartile_mean(values.T)
                axis.plot(group.timesteps, mean, color=color, label=label)
                axis.plot(group.timesteps, values.T, color=color, alpha=0.25, linewidth=0.8)
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
    style = {"fmt": "o-", "markersize": 4, "capsize": 3, **style}
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
        title=f"after {study.timesteps:,} steps\nas reported: {study.published_how}",
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
            color=colour(study, variant),
            transform=beside,
        )
    for variant, returns in study.published.items():
        means, errors = zip(*returns.values(), strict=True)
        axis.errorbar(
            list(returns),
            means,
            yerr=errors,
            fmt="x:",
            linewidth=1,
            alpha=0.6,
            color=colour(study, variant),
            label=f"{variant}, as reported",
        )
    figure.legend(loc="outside right center", fontsize="small")
    figure.savefig(path, dpi=120)
