"""What does each ingredient of TaskMet add?"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure
from numpy import float64
from numpy.typing import NDArray

from ..agents import TaskMetConfig
from ..agents.config import configure
from ..relevance import AllAlike, GatesOnly, PriorOnly
from ..runs.environments import EnvironmentConfig
from .curves import LAST, Curves, by_panel
from .figures import draw_intervals
from .resumable import Row
from .statistics import summarize
from .study import Study
from .variants import without_hypergradient

_SHIPPED = TaskMetConfig()
_RELEVANCE = _SHIPPED.relevance
_PUBLISHED = configure(TaskMetConfig, "published", {})

_MEASURES: dict[str, Callable[[Curves], NDArray[float64]]] = {
    f"return, mean of the last {LAST} evaluations": lambda group: group.final,
    "return, mean of all evaluations": lambda group: group.area,
    "mean real / mean distractor weight": lambda group: group.ratios[:, -1],
}


def draw_by_ingredient(study: Study, rows: Sequence[Row], path: Path) -> None:
    """Draw what is left when each ingredient is missing: every seed, and the interval of them.

    Args:
        study: whose first variant misses none.
        rows: its results.
        path: of the picture.
    """
    panels = by_panel(study, rows)
    height = 0.9 + sum(0.6 + 0.24 * len(groups) for groups in panels.values())
    figure = Figure(figsize=(12, height), layout="constrained")
    axes = figure.subplots(
        len(panels),
        len(_MEASURES),
        squeeze=False,
        sharex="col",
        sharey="row",
        height_ratios=[len(groups) for groups in panels.values()],
    )
    for line, (panel, groups) in zip(axes, panels.items(), strict=True):
        places = list(range(len(groups)))
        line[0].set_yticks(places, [group.variant for group in groups])
        line[0].set(ylabel=panel)
        line[0].invert_yaxis()
        for axis, measure in zip(line, _MEASURES.values(), strict=True):
            seeds = [measure(group) for group in groups]
            summaries = [summarize(values) for values in seeds]
            draw_intervals(axis, places, summaries, sideways=True, linestyle="", color="C0")
            for place, values in zip(places, seeds, strict=True):
                axis.plot(values, [place] * len(values), "|", color="C1", alpha=0.7)
            if groups[0].variant == next(iter(study.variants)):
                axis.axvline(summaries[0].iqm, color="black", linewidth=0.8, linestyle=":")
    for axis, name in zip(axes[-1], _MEASURES, strict=True):
        axis.set(xlabel=name)
    axes[-1, -1].set(xscale="log")
    figure.savefig(path, dpi=80)


ABLATION = Study(
    name="ablation",
    question="What does each ingredient of TaskMet add, by leaving it out?",
    variants={
        "taskmet": _SHIPPED,
        "no hypergradient": without_hypergradient(_SHIPPED),
        "no gates": replace(_SHIPPED, relevance=PriorOnly(_RELEVANCE)),
        "no prior": replace(_SHIPPED, relevance=GatesOnly(_RELEVANCE)),
        "no gates, no prior": replace(_SHIPPED, relevance=AllAlike()),
        "no gates, no prior, fitted critic": replace(
            _SHIPPED, relevance=AllAlike(), fitted_critic=True
        ),
        "raw observations": replace(_SHIPPED, normalize_observations=False),
        "the paper's critic rate": replace(_SHIPPED, learning_rate=_PUBLISHED.learning_rate),
        "no warm-up": replace(_SHIPPED, metric_warmup=0),
        "the paper's solver": replace(_SHIPPED, hypergradient=_PUBLISHED.hypergradient),
        "input scale 1": replace(_SHIPPED, input_scale=1.0),
        "no bound on weights": replace(_SHIPPED, largest_weight=None),
        "one batch for both": replace(_SHIPPED, independent_batches=False),
        "whole error": replace(_SHIPPED, centred_task_gradient=False),
        "constant rate": replace(_SHIPPED, learning_rate_decay=0.0),
        "fitted critic": replace(_SHIPPED, fitted_critic=True),
    },
    environments=[
        EnvironmentConfig(num_distractors=128, kind=kind) for kind in ("autoregressive", "gaussian")
    ],
    timesteps=50_000,
    seeds=range(5),
    panel=("distractor_kind", "num_distractors"),
    pictured_by=draw_by_ingredient,
)
