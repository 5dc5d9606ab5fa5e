"""Tables of README.md and docs/ say what the results say, and name all that has run.

Not here are the tables of speed, and in `docs/results.md` those of sixteen distractors of each
kind, of mixtures and of larger bodies.
"""

import re

import numpy as np
import pytest
from reported import RESULTS, ROOT

from mbrl_taskmet.studies import STUDIES
from mbrl_taskmet.studies.curves import curves
from mbrl_taskmet.studies.decision import PUBLISHED
from mbrl_taskmet.studies.statistics import mean_and_deviation, summarize

NONE = "–"
"""Where something has not run, or is not there to report."""

PAPER = STUDIES["published"].published
"""Mean return and its standard error, by agent and number of distractors."""


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


def filled(lines, column):
    """The lines, with an empty cell of a column as the one above it."""
    value = ""
    for line in lines:
        value = line[column] or value
        yield [*line[:column], value, *line[column + 1 :]]


def results(name, *, seeds=5):
    """The runs of a study by panel and variant, where there are as many seeds or more."""
    study = STUDIES[name]
    groups = curves(study, study.read(RESULTS / f"{name}.csv"))
    return {(g.panel, g.variant): g for g in groups if len(g.returns) >= seeds}


def interval(values):
    numbers = (f"{number:,.0f}".replace("-", "−") for number in summarize(values))
    return "{} [{}, {}]".format(*numbers)


def two_digits(values):
    return f"{summarize(values).iqm:.2g}"


def each(values, form="{:.0f}"):
    return ", ".join(map(form.format, values))


def mean_and_error(values):
    return f"{values.mean():.0f} ± {values.std(ddof=1) / np.sqrt(len(values)):.0f}"


def as_reported(agent, number):
    reported = PAPER.get(agent, {}).get(int(number))
    return NONE if reported is None else "{:.0f} ± {:.0f}".format(*reported)


def worst_seed(group):
    return f"{group.final.min():.0f}"


def worst_auc(group):
    return f"{group.aucs[:, -1].min():.3f}"


def summary(group, *, ranks=True):
    """Final return, worst seed, area under the curve and ranking, a cell each."""
    auc = worst_auc(group) if ranks else NONE
    return [interval(group.final), worst_seed(group), interval(group.area), auc]


def test_readme_has_the_returns_among_independent_noise():
    header, *lines = tables_under("README.md", "Distractors that are independent noise")[0]
    groups = results("distractors")
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
    assert {line[0] for line in lines} == {number for number, _ in groups}
    elsewhere = {"taskmet_constant_rate", *ALONE.values()}
    assert {variant for _, variant in groups} - elsewhere == {*variants.values()}
    for line in lines:
        cells = dict(zip(header, line, strict=True))
        number = cells["distractors"]
        for name, variant in variants.items():
            group = groups.get((number, variant))
            assert cells[name] == (interval(group.final) if group else NONE), (number, name)
        ours = groups[number, "taskmet"]
        assert cells["worst seed"] == worst_seed(ours)
        assert cells["ranking AUC"] == (worst_auc(ours) if int(number) else NONE)
        reported = [returns[int(number)][0] for returns in PAPER.values() if int(number) in returns]
        assert cells["the paper's TaskMet, OMD, MLE"] == (each(reported) or NONE)


ALONE = {"the identity": "taskmet_alone", "a critic that fits": "taskmet_alone_fitted"}
"""TaskMet without gates and prior, by what stands for the critic's curvature."""


def test_results_have_the_hypergradient_by_itself():
    _, *lines = tables_under("docs/results.md", "The hypergradient by itself")[0]
    groups = results("distractors", seeds=1)
    assert [line[0] for line in lines] == list(ALONE)
    for name, *cells in lines:
        group = groups["128", ALONE[name]]
        assert cells == [
            each(group.final),
            mean_and_error(group.final),
            interval(group.area),
            each(group.aucs[:, -1], "{:.2f}"),
            each(group.ratios[:, -1], "{:.1f}"),
        ], name


def test_readme_has_the_returns_with_the_papers_settings():
    header, *lines = tables_under("README.md", "Distractors that are independent noise")[1]
    groups, shipped = results("published"), results("distractors")
    assert [line[0] for line in lines] == list(dict.fromkeys(number for number, _ in groups))
    assert header[-1] == "TaskMet as shipped"
    for number, *cells, last_cell in lines:
        assert last_cell == mean_and_error(shipped[number, "taskmet"].returns[:, -1]), number
        for name, cell in zip(header[1:-1], cells, strict=True):
            agent = name.split()[0].lower()
            last = groups[number, agent].returns[:, -1]
            assert cell == f"{mean_and_error(last)} [{as_reported(agent, number)}]", (number, name)


def test_results_have_the_returns_with_the_papers_settings():
    _, *lines = tables_under("docs/results.md", "With the paper's settings")[0]
    groups = results("published")
    assert len(lines) == len(groups)
    for name, number, *cells in filled(lines, 0):
        variant = name.strip("`")
        group = groups[number, variant]
        assert cells == [
            each(group.final),
            mean_and_error(group.final),
            interval(group.final),
            mean_and_error(group.returns[:, -1]),
            as_reported(variant, number),
            each(group.aucs[:, -1], "{:.2f}") if variant.startswith("taskmet") else NONE,
        ], (variant, number)


@pytest.mark.parametrize(("document", "besides"), [("README.md", 1), ("docs/results.md", 0)])
def test_returns_among_predictable_distractors(document, besides):
    """But for `taskmet_constant_rate`, among 128 distractors."""
    (header, *lines), *_ = tables_under(document, "Distractors that can be predicted")
    number = header[0].split()[0]
    groups = {key: group for key, group in results("kinds").items() if key[0].endswith(number)}
    assert len(lines) == len(groups) - besides
    for kind, name, *cells in filled(lines, 0):
        agent = name.lower()
        group = groups["{}, {}".format(kind.strip("`"), number), agent]
        assert cells == summary(group, ranks=agent not in ("mle", "dqn")), (kind, name)


CAPACITY = {
    "TaskMet": "taskmet",
    "conditional metric": "taskmet_conditional",
    "without the hypergradient": "no_hypergradient",
    "usual start": "taskmet_usual_start",
    "usual start, without the hypergradient": "no_hypergradient_usual_start",
    "small start": "taskmet_small_start",
    "OMD": "omd",
    "VEP": "vep",
    "MLE": "mle",
}


def of_width(column, name):
    """Panel and variant of a column such as "2 units" and a row."""
    width = column.split()[0]
    return f"{width}-{width}", f"{CAPACITY[name]}-{width}"


def test_readme_has_the_returns_of_small_models():
    header, *lines = tables_under("README.md", "Models of little capacity")[0]
    groups = results("capacity")
    names = [line[0].removeprefix("… ") for line in lines]
    also = ["conditional metric", "without the hypergradient"]
    assert names == ["TaskMet", *also, "OMD", "VEP", "MLE"]
    for name, line in zip(names, lines, strict=True):
        *cells, reported = zip(header[1:], line[1:], strict=True)
        assert reported[0].startswith("the paper's")
        for column, cell in cells:
            group = groups.get(of_width(column, name))
            if group is None:
                assert cell == NONE, (name, column)
            else:
                iqm = summarize(group.final).iqm
                assert cell == f"{iqm:.0f} ({two_digits(group.final_error)})", (name, column)


def test_results_have_the_returns_of_small_models():
    tables = tables_under("docs/results.md", "Models of little capacity")
    groups = results("capacity")
    assert [line[0] for line in tables[0][1::2]] == list(CAPACITY)
    for header, *lines in tables:
        for (name, *of_returns), (below, *of_errors) in zip(lines[::2], lines[1::2], strict=True):
            assert below == "… error"
            for column, *cells in zip(header[1:], of_returns, of_errors, strict=True):
                group = groups.pop(of_width(column, name), None)
                if group is None:
                    assert cells == [NONE, NONE], (name, column)
                else:
                    expected = [interval(group.final), two_digits(group.final_error)]
                    assert cells == expected, (name, column)
    assert not groups


def test_results_have_what_each_ingredient_adds():
    _, *lines = tables_under("docs/results.md", "What each ingredient adds")[0]
    groups = results("ablation")
    names = {
        "as shipped": "taskmet",
        "the paper's critic rate, 3e-4": "the paper's critic rate",
        "the whole error, not the model's part": "whole error",
        "no bound on the weights": "no bound on weights",
        "one batch for both losses": "one batch for both",
        "usual weights on the inputs": "input scale 1",
        "a constant critic's rate": "constant rate",
        "no warm-up of the metric": "no warm-up",
    }
    for name, *cells in lines:
        variant, gaussian, _ = name.partition(", Gaussian distractors")
        panel = "gaussian, 128" if gaussian else "autoregressive, 128"
        group = groups.pop((panel, names.get(variant, variant)))
        assert cells == summary(group), name
    assert not groups


@pytest.mark.parametrize(("place", "study"), [(0, "oracles"), (1, "published_oracles")])
def test_results_have_the_returns_under_oracles(place, study):
    _, *lines = tables_under("docs/results.md", "Which level is the bottleneck?")[place]
    groups = results(study, seeds=1)
    names = {
        "nothing (MLE)": "nothing (MLE)",
        "nothing (TaskMet, constant rate)": "taskmet",
        "… but real dimensions weigh 30 times as much": "true metric, 30 to 1",
        "metric and gates": "true metric and gates",
    }
    for name, area, final in lines:
        group = groups.pop(("128", names.get(name) or re.sub("^(a|the) ", "", name)))
        many = len(group.final) >= 5
        assert area == (interval(group.area) if many else each(group.area)), name
        assert final == each(group.final), name
    assert not groups


def test_readme_has_the_returns_of_continuous_actions():
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
    assert [line[0] for line in lines] == list(variants)
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
    names = {
        "same batch for both": "same batch",
        "the whole error": "whole error",
        "both, undamped: the published solve": "published solve",
        "as published: that, same batch, whole error": "published",
        "Neumann series, 10 terms": "Neumann series",
        "the critic's curvature solved for": "critic solved",
    }
    rows = [
        row
        for row in STUDIES["hypergradient"].read(RESULTS / "hypergradient.csv")
        if row["agent"] == "mle"
    ]
    estimators = [names.get(line[0], line[0]) for line in lines]
    assert sorted(estimators) == sorted({row["estimator"] for row in rows})
    measures = ["ranking_auc", "single_ranking_auc", "cosine", *(f"snr_real_{i}" for i in range(4))]
    for estimator, (_, *cells) in zip(estimators, lines, strict=True):
        found = [row for row in rows if row["estimator"] == estimator]
        means = [np.mean([float(row[measure]) for row in found]) for measure in measures]
        written = [f"{mean:.2f}".replace("-0.00", "0.00").replace("-", "−") for mean in means]
        assert cells == [*written[:3], ", ".join(written[3:])], estimator


METHODS = {
    "MSE": "mse",
    "MSE, chosen by decisions": "mse_by_task",
    "DFL": "dfl",
    "DFL, α = 10": "dfl 10",
    "LODL, weighted MSE": "lodl",
    "LODL, weighted MSE, α = 10": "lodl 10",
    "LODL, directed": "lodl_directed",
    "LODL, directed, α = 10": "lodl_directed 10",
    "LODL, quadratic": "lodl_quadratic",
    "TaskMet": "taskmet",
    "TaskMet, metric frozen": "taskmet_frozen",
    "constant predictor": "constant",
}
"""What the study `decision` has, by its name in the tables; chance is 0 by definition."""

REGIMES = {"Cubic": "published", "S&P 500": "sp500", "TSE": "tse"}
"""Kinds of data, where the tables have another name for them."""


def of_decisions(task, name, measure):
    """A measure of all runs of a method, on a task as the tables call it."""
    problem, _, regime = task.partition(", ")
    regime = REGIMES.get(regime or problem, regime)
    study = STUDIES["decision"]
    rows = study.grouped(study.read(RESULTS / "decision.csv"))
    group = rows[problem.lower(), regime, METHODS[name]]
    return np.array([float(row[measure]) for row in group])


def quality(task, name):
    cell = mean_and_deviation(of_decisions(task, name, "decision_quality"), "{:.2f}")
    return cell.replace("-0.00", "0.00").replace("-", "−")


def error(task, name):
    mean = of_decisions(task, name, "test_mse").mean()
    return f"{float(f'{mean:.2g}'):g}"


def test_all_that_was_measured_of_decisions_is_reported():
    qualities, errors = tables_under("docs/decision.md", "The three published tasks")
    for table, measure in ((qualities, quality), (errors, error)):
        (_, *tasks), *lines = table
        assert [line[0] for line in lines] == list(METHODS)
        for name, *cells in lines:
            assert cells == [measure(task, name) for task in tasks], name


def test_readme_has_the_decisions_beside_the_papers():
    (_, *header), *lines = tables_under("README.md", "The same metric, for decisions")[0]
    left_out = {"LODL, weighted MSE", "LODL, weighted MSE, α = 10", "LODL, quadratic"}
    assert [line[0] for line in lines] == [name for name in METHODS if name not in left_out]
    for name, *cells in lines:
        for task, found, of_error in zip(header[::2], cells[::2], cells[1::2], strict=True):
            published = PUBLISHED.get((METHODS[name], task.partition(",")[0].lower()))
            known = published is not None and task != "Budget, mixed"
            paper = f" [{published[0]:.2f}]".replace("-", "−") if known else ""
            assert found == quality(task, name) + paper, (name, task)
            assert of_error == error(task, name), (name, task)
