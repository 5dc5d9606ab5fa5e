"""Does the task tell a model of little capacity what to spend it on?"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

from ..agents import AgentConfig, MLEConfig, OMDConfig, TaskMetConfig, VEPConfig
from ..runs.environments import EnvironmentConfig
from .curves import LAST, Curves, curves
from .figures import centred, draw_intervals, labelled, look
from .resumable import Row
from .statistics import summarize
from .study import Study
from .variants import without_hypergradient

WIDTHS = (2, 3, 4, 6, 8, 12, 16, 32)
"""Units in each of the model's two hidden layers."""

PAPER_RETURNS = {"taskmet": 412, "omd": 320, "mle": 166}
"""After 200,000 steps, at a width that is not recorded (arXiv 2312.05250)."""

_AGENTS: dict[str, AgentConfig] = {
    "mle": MLEConfig(),
    "omd": OMDConfig(),
    "vep": VEPConfig(),
    "taskmet": TaskMetConfig(),
    "taskmet_conditional": TaskMetConfig(metric_hidden=(32, 32)),
}

_USUAL_START = TaskMetConfig(input_scale=1.0)

_AT_THE_SMALLEST: dict[str, AgentConfig] = {
    "no_hypergradient": without_hypergradient(TaskMetConfig()),
    # A tenth of the input weights leaves a third of so few units dead from the start.
    "taskmet_small_start": TaskMetConfig(model_input_scale=0.1),
    "taskmet_usual_start": _USUAL_START,
    "no_hypergradient_usual_start": without_hypergradient(_USUAL_START),
}
"""Further variants, of the three smallest models only."""


def draw_over_width(study: Study, rows: Sequence[Row], path: Path) -> None:
    """Draw the return and the model's error at the end over the model's width.

    Args:
        study: whose variants are named `agent-width`, its panels by the model's layers.
        rows: its results.
        path: of the picture.
    """
    by_agent: dict[str, dict[int, Curves]] = {}
    for group in curves(study, rows):
        width = group.panel.partition("-")[0]
        agent = group.variant.removesuffix(f"-{width}")
        by_agent.setdefault(agent, {})[int(width)] = group
    figure = Figure(figsize=(12, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    measured = sorted({width for found in by_agent.values() for width in found})
    left.set(ylabel=f"return (IQM of the last {LAST} evaluations, 95 %)")
    left.set_title("dotted: arXiv 2312.05250, of a width not recorded", fontsize="medium")
    right.set(ylabel="model's mean squared error, in units of variance", yscale="log")
    for axis in (left, right):
        axis.set_xscale("log", base=2)
        axis.set(xlabel="units in each of the model's hidden layers")
        axis.set_xticks(measured, list(map(str, measured)))
        axis.minorticks_off()
    for number, (agent, found) in enumerate(by_agent.items()):
        widths = sorted(found)
        returns = [summarize(found[width].final) for width in widths]
        errors = [summarize(found[width].final_error) for width in widths]
        # Beside each other, since all stand at the same widths.
        beside = [1.03 ** centred(number, len(by_agent)) * width for width in widths]
        label = labelled(agent, [found[width] for width in widths])
        for axis, summaries in ((left, returns), (right, errors)):
            draw_intervals(axis, beside, summaries, label=label, **look(number))
        if agent in PAPER_RETURNS:
            left.axhline(
                PAPER_RETURNS[agent], color=look(number)["color"], linewidth=1, linestyle=":"
            )
    figure.legend(*left.get_legend_handles_labels(), loc="outside right center", fontsize="small")
    figure.savefig(path, dpi=120)


CAPACITY = Study(
    name="capacity",
    question="What is the return, and what the model's error, when the model is small?",
    variants={
        f"{name}-{width}": replace(agent, model_hidden=(width, width))
        for width in WIDTHS
        for name, agent in (_AGENTS | (_AT_THE_SMALLEST if width in WIDTHS[:3] else {})).items()
    },
    environments=[EnvironmentConfig(num_distractors=0)],
    timesteps=100_000,
    seeds=range(5),
    panel=("model_hidden",),
    pictured_by=draw_over_width,
)
