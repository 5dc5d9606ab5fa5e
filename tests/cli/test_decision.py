"""`mbrl-taskmet decision` trains a predictor and shows it beside a constant one."""

import json
import re

import pytest

from mbrl_taskmet.decision import Cubic
from mbrl_taskmet.decision.experiment import Experiment


def test_a_method_is_shown_beside_constant_and_random(cli):
    status, output, _ = cli("decision", "cubic", "mse", "--seeds", "0", "1", "--json")
    assert status == 0
    found = json.loads(output)
    assert list(found) == ["mse", "constant", "random"]
    assert all(len(runs) == 2 for runs in found.values())
    assert all(run["decision_quality"] < -0.8 for run in found["mse"])
    assert all(abs(run["decision_quality"]) < 0.1 for run in found["constant"])


def test_the_table_has_means_over_the_seeds(cli):
    arguments = ("decision", "budget", "constant", "--regime", "dense", "--seeds")
    status, output, _ = cli(*arguments, 0, 1)
    assert status == 0
    assert "budget, dense" in output
    assert re.search(r"constant .* ± ", output)
    assert "±" not in cli(*arguments, 0)[1]


def test_a_method_that_stands_beside_the_others_runs_once(cli):
    _, output, _ = cli("decision", "cubic", "constant", "--seeds", "0", "1", "--json")
    assert {name: len(runs) for name, runs in json.loads(output).items()} == {
        "constant": 2,
        "random": 2,
    }


def test_methods_share_the_data_and_the_yardstick_of_a_problem(monkeypatch):
    calls, split = [], Cubic.split

    def counted(problem):
        calls.append(problem.seed)
        return split(problem)

    monkeypatch.setattr(Cubic, "split", counted)
    for seed in (77, 78):
        for name in ("constant", "random"):
            Experiment(problem="cubic", method=name, dataset_seed=seed).run()
    assert calls == [77, 78]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("cubik mse", "no problem 'cubik'.* Did you mean 'cubic'"),
        ("cubic taskmett", "no method 'taskmett'.* Did you mean 'taskmet'"),
        ("budget mse --regime sparce", "no regime of budget 'sparce'.* Did you mean 'sparse'"),
        ("cubic mse --alpha 10", "mse has no alpha: leave it out, or choose one of dfl, lodl"),
        ("cubic dfl --alpha -1", "alpha.* must be 0 or more"),
        ("cubic mse --seeds 1 1", "--seeds must be"),
    ],
)
def test_what_there_is_not_is_refused_in_one_sentence(cli, arguments, sentence):
    status, _, complaint = cli("decision", *arguments.split())
    assert status == 2
    assert complaint.startswith("mbrl-taskmet: ")
    assert complaint.count("\n") == 1
    assert re.search(sentence, complaint)


def test_an_experiment_takes_the_first_regime_and_repeats_itself():
    first = Experiment(problem="budget", method="random", dataset_seed=100, model_seed=100)
    assert first.regime == "sparse"
    assert first.run().quality == first.run().quality
