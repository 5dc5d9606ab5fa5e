"""What README.md and docs/results.md say of the studies is what their results say."""

import re
from pathlib import Path

import numpy as np
import pytest

from mbrl_taskmet.studies import STUDIES
from mbrl_taskmet.studies.figures import curves
from mbrl_taskmet.studies.statistics import summarize

ROOT = Path(__file__).parents[2]
NOT_RUN = "–"


def tables_under(document, heading):
    """The tables of a section, each a list of rows of cells, the header first."""
    text = (ROOT / document).read_text()
    _, _, below = text.partition(f" {heading}\n")
    assert below, f"{document} has no section {heading!r}"
    section = re.split(r"^#+ ", below, maxsplit=1, flags=re.M)[0]
    blocks = re.findall(r"(?:^\|.*\n)+", section, flags=re.M)
    lines = ([line.split("|")[1:-1] for line in block.splitlines()] for block in blocks)
    return [
        [[cell.strip() for cell in line] for n, line in enumerate(table) if n != 1]
        for table in lines
    ]


@pytest.fixture(scope="module")
def results():
    """The runs of a study by panel and variant, those of a number of seeds at least."""

    def read(name, *, seeds=5):
        study = STUDIES[name]
        groups = curves(study, study.read(ROOT / "studies" / "results" / f"{name}.csv"))
        return {(g.panel, g.variant): g for g in groups if len(g.returns) >= seeds}

    return read


def signed(number):
    return f"{number:,.0f}".replace("-", "−")


def interval(values):
    iqm, low, high = map(signed, summarize(values))
    return f"{iqm} [{low}, {high}]"


def worst_seed(group):
    return f"{group.final.min():.0f}"


def worst_auc(group):
    return f"{group.aucs[:, -1].min():.3f}"


def mean_and_error(values):
    return f"{values.mean():.0f} ± {values.std(ddof=1) / np.sqrt(len(values)):.0f}"


def two_digits(values):
    return f"{summarize(values).iqm:.2g}"


def said(cell):
    """A cell without the paper's numbers, which stand in brackets behind ours."""
    return re.sub(r" \[[\d.]+ ± [\d.]+\]$", "", cell)


def test_readme_has_the_returns_among_independent_noise(results):
    header, *lines = tables_under("README.md", "Distractors that are independent noise")[0]
    variants = {
        "TaskMet": "taskmet",
        "TaskMet as published": "taskmet_published",
        "OMD": "omd",
        "VEP": "vep",
        "MLE": "mle",
        "Predictability": "predictability",
        "DQN, raw": "dqn",
        "DQN, normalised": "dqn_normalized",
    }
    groups = results("distractors")
    for line in lines:
        cells = dict(zip(header, line, strict=True))
        number = cells["distractors"]
        for name, variant in variants.items():
            group = groups.get((number, variant))
            assert cells[name] == (interval(group.final) if group else NOT_RUN), (number, name)
        ours = groups[number, "taskmet"]
        assert cells["worst seed"] == worst_seed(ours)
        assert cells["ranking AUC"] == (worst_auc(ours) if int(number) else NOT_RUN)


def test_readme_has_the_returns_with_the_papers_settings(results):
    header, *lines = tables_under("README.md", "Distractors that are independent noise")[1]
    variants = {"TaskMet as published": "taskmet", "OMD": "omd", "MLE": "mle"}
    groups = results("published")
    for line in lines:
        cells = dict(zip(header, line, strict=True))
        for name, variant in variants.items():
            final = groups[cells["distractors"], variant].final
            assert said(cells[name]) == mean_and_error(final), (cells["distractors"], name)


def test_readme_has_the_returns_among_predictable_distractors(results):
    (header, *lines), *_ = tables_under("README.md", "Distractors that can be predicted")
    number = header[0].split()[0]
    groups = results("kinds")
    kind = ""
    for line in lines:
        kind = line[0].strip("`") or kind
        agent = line[1].lower()
        group = groups[f"{kind}, {number}", agent]
        ranks = agent not in ("mle", "dqn")
        assert line[2:] == [
            interval(group.final),
            worst_seed(group),
            interval(group.area),
            worst_auc(group) if ranks else NOT_RUN,
        ], (kind, agent)


CAPACITY = {
    "TaskMet": "taskmet",
    "without the hypergradient": "no_hypergradient",
    "usual start": "taskmet_usual_start",
    "usual start, without the hypergradient": "no_hypergradient_usual_start",
    "small start": "taskmet_small_start",
    "OMD": "omd",
    "VEP": "vep",
    "MLE": "mle",
}


def test_readme_has_the_returns_of_small_models(results):
    header, *lines = tables_under("README.md", "Models of little capacity")[0]
    groups = results("capacity")
    for line in lines:
        agent = CAPACITY[line[0].removeprefix("… ")]
        for column, cell in zip(header[1:4], line[1:4], strict=True):
            width = column.split()[0]
            group = groups.get((f"{width}-{width}", f"{agent}-{width}"))
            expected = (
                f"{summarize(group.final).iqm:.0f} ({two_digits(group.final_error)})"
                if group
                else NOT_RUN
            )
            assert cell == expected, (agent, width)


def test_results_have_the_returns_of_small_models(results):
    header, *lines = tables_under("docs/results.md", "Models of little capacity")[0]
    groups = results("capacity")
    agent = ""
    for line in lines:
        of_error = line[0] == "… error"
        agent = agent if of_error else CAPACITY[line[0]]
        for column, cell in zip(header[1:], line[1:], strict=True):
            width = column.split()[0]
            group = groups.get((f"{width}-{width}", f"{agent}-{width}"))
            if group is None:
                assert cell == NOT_RUN, (agent, width)
            else:
                expected = two_digits(group.final_error) if of_error else interval(group.final)
                assert cell == expected, (agent, width)


def test_results_have_what_each_ingredient_adds(results):
    _, *lines = tables_under("docs/results.md", "What each ingredient adds")[0]
    groups = results("ablation")
    assert len(lines) == len({variant for _, variant in groups})
    for variant, *cells in lines:
        name = "taskmet" if variant == "as shipped" else variant
        group = groups["autoregressive, 128", name]
        expected = [interval(group.final), worst_seed(group), interval(group.area)]
        assert cells == [*expected, worst_auc(group)], variant


def test_results_have_the_returns_with_the_papers_settings(results):
    _, *lines = tables_under("docs/results.md", "With the paper's settings")[0]
    groups = results("published")
    assert len(lines) == len(groups)
    variant = ""
    for name, number, each, mean, iqm, _, aucs in lines:
        variant = name.strip("`") or variant
        group = groups[number, variant]
        assert each == ", ".join(f"{value:.0f}" for value in group.final)
        assert (mean, iqm) == (mean_and_error(group.final), interval(group.final))
        assert aucs == (
            ", ".join(f"{auc:.2f}" for auc in group.aucs[:, -1])
            if variant.startswith("taskmet")
            else NOT_RUN
        )


def test_readme_has_the_returns_of_continuous_actions(results):
    (header, *lines), *_ = tables_under("README.md", "Continuous actions")
    variants = {
        "TaskMet": "taskmet",
        "TaskMet, no distractors": "taskmet",
        "SAC, Stable-Baselines3's, raw observations": "sac",
        "the same, normalised observations": "sac_normalized",
        "the same, with our learning rate and τ too": "sac_matched",
        "our SAC without a model, which normalises observations": "model_free",
        "VaGraM": "vagram",
        "MLE": "mle",
        "OMD": "omd",
    }
    groups = results("continuous")
    for name, *cells in lines:
        number = 0 if name.endswith("no distractors") else 64
        for column, cell in zip(header[1:], cells, strict=True):
            environment = re.match("`(.*?)`", column)[1]
            group = groups[f"{environment}, {number}", variants[name]]
            auc = f", ranking AUC {worst_auc(group)}" if name == "TaskMet" else ""
            assert cell == interval(group.final) + auc, (name, environment)


def test_decisions_have_what_each_estimator_of_the_hypergradient_says():
    heading = "No single estimate of the hypergradient ranks the dimensions"
    _, *lines = tables_under("docs/decisions.md", heading)[0]
    study = STUDIES["hypergradient"]
    names = {
        "same batch for both": "same batch",
        "the whole error": "whole error",
        "both, undamped: the published solve": "published solve",
        "as published: that, same batch, whole error": "published",
        "Neumann series, 10 terms": "Neumann series",
        "the critic's curvature solved for": "critic solved",
    }
    rows = study.read(ROOT / "studies" / "results" / "hypergradient.csv")
    for estimator, *cells in lines:
        name = names.get(estimator, estimator)
        found = [row for row in rows if (row["agent"], row["estimator"]) == ("mle", name)]
        measures = ["ranking_auc", "single_ranking_auc", "cosine"]
        measures += [f"snr_real_{i}" for i in range(4)]
        means = [np.mean([float(row[measure]) for row in found]) for measure in measures]
        written = [f"{mean:.2f}".replace("-0.00", "0.00").replace("-", "−") for mean in means]
        assert cells == [*written[:3], ", ".join(written[3:])], estimator
