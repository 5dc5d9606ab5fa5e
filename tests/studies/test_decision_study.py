"""The study of the decision tasks: what it runs, what it leaves, what it shows."""

import csv
from dataclasses import replace

import pytest
from reported import RESULTS
from rich.console import Console

from mbrl_taskmet.cli.main import main
from mbrl_taskmet.decision.catalogue import METHODS, SETUPS
from mbrl_taskmet.studies import STUDIES
from mbrl_taskmet.studies.decision import DECISION, PUBLISHED

TINY = replace(
    DECISION,
    name="tiny",
    variants={"constant": ("constant", 0.0), "random": ("random", 0.0)},
    problems={"cubic": ((0, 0), (1, 1))},
)


def test_every_run_is_there_once_and_known_by_its_labels():
    keys = [DECISION.key(DECISION.labels(*run)) for run in DECISION.runs()]
    assert len(set(keys)) == len(keys)
    pairs = sum(len(seeds) * len(SETUPS[name].regimes) for name, seeds in DECISION.problems.items())
    assert len(keys) == pairs * len(DECISION.variants)


def test_every_method_takes_part_and_every_published_number_has_its_place():
    assert {method for method, _ in DECISION.variants.values()} == set(METHODS)
    assert {name for name, _ in PUBLISHED} <= set(DECISION.variants)
    assert {problem for _, problem in PUBLISHED} == set(SETUPS)


def test_reported_seeds_are_not_tuning_seeds():
    assert all(max(pair) < 10 for seeds in DECISION.problems.values() for pair in seeds)


def test_it_runs_from_the_command_line_and_then_has_nothing_left_to_do(
    monkeypatch, tmp_path, capsys
):
    monkeypatch.setitem(STUDIES, "tiny", TINY)
    arguments = ["study", "tiny", "--results", str(tmp_path), "--jobs", "1"]
    assert main(arguments) == 0
    written = (tmp_path / "tiny.csv").read_text()
    rows = list(csv.DictReader(written.splitlines()))
    assert tuple(rows[0]) == TINY.columns
    assert [(row["method"], row["model_seed"]) for row in rows] == [
        ("constant", "0"),
        ("random", "0"),
        ("constant", "1"),
        ("random", "1"),
    ]
    assert all(abs(float(row["decision_quality"])) < 0.1 for row in rows)
    assert (tmp_path / "tiny.png").stat().st_size > 1_000
    assert main(arguments) == 0
    assert (tmp_path / "tiny.csv").read_text() == written


def test_the_table_shows_the_published_number_and_the_worst_run(capsys):
    labels = {"problem": "cubic", "regime": "published", "method": "dfl", "alpha": "10.0"}
    rows = [
        {**labels, "dataset_seed": str(seed), "model_seed": str(seed), "decision_quality": quality}
        | {"regret": "1", "test_mse": "2", "seconds": "3"}
        for seed, quality in enumerate(("0.5", "-0.5"))
    ]
    assert list(DECISION.grouped(rows)) == [("cubic", "published", "dfl 10")]
    Console(width=200).print(DECISION.show(rows))
    shown = capsys.readouterr().out
    assert "0.00 ± 0.71" in shown  # √½, of ±½
    assert "0.62 ± 0.74" in shown
    assert "-0.50" in shown


def test_a_part_of_the_study_can_be_chosen():
    wanted = {"variant": ("mse",), "problem": ("budget",), "regime": ("dense", "sparse")}
    runs = [run.experiment for _, run in DECISION.chosen(wanted, seeds=(1,))]
    assert {run.regime for run in runs} == {"dense", "sparse"}
    assert {(run.problem, run.method, run.model_seed) for run in runs} == {("budget", "mse", 1)}
    assert len(runs) == 10


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        ({"distractor_kind": ("gaussian",)}, "no column 'distractor_kind': .* problem, regime,"),
        ({"problem": ("cubik",)}, "no problem 'cubik': choose one of cubic, budget"),
        ({"problem": ("budget",), "regime": ("tse",)}, "No run .* is all of this"),
        ({"regime": ("thick",)}, "no regime 'thick': choose one of published, sparse"),
    ],
)
def test_a_part_that_the_study_does_not_have_is_refused(wanted, complaint):
    with pytest.raises(ValueError, match=complaint):
        DECISION.chosen(wanted)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("--kinds gaussian", "has no --kinds: choose by --variants, --problems, --regimes."),
        ("--regimes thick", "There is no regime 'thick'"),
        ("--seeds 7 --problems budget", "No run of the study decision is all of this"),
    ],
)
def test_a_choice_on_the_command_line_is_refused_by_its_option(
    options, complaint, tmp_path, capsys
):
    assert main(["study", "decision", "--results", str(tmp_path), *options.split()]) == 2
    assert complaint in " ".join(capsys.readouterr().err.split())


def test_the_shipped_results_are_of_this_study():
    path = RESULTS / "decision.csv"
    known = {DECISION.key(DECISION.labels(*run)) for run in DECISION.runs()}
    assert {DECISION.key(row) for row in DECISION.read(path)} <= known
