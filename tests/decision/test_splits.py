"""Which data train, which choose and which report; and which numbers are drawn for what."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from cases import assert_close, generator
from mbrl_taskmet.decision import (
    DFL,
    LODL,
    MSE,
    Bounded,
    Budget,
    ClosedForm,
    Cubic,
    Data,
    Descent,
    Split,
    TaskMet,
    evaluate,
    loss_of,
    measure,
    predict,
)
from mbrl_taskmet.decision.catalogue import METHODS, SETUPS
from mbrl_taskmet.decision.experiment import Experiment
from mbrl_taskmet.decision.streams import stream
from mbrl_taskmet.decision.taskmet import NoHypergradient
from mbrl_taskmet.mlp import MLP

SEED = 3
"""Of models for which all methods come to different lines."""

LINE = MLP((1, 1))
CUBIC = Cubic(seed=100, num_items=6, sizes=(12, 9, 8), epsilon=0.1)
DATA = Split(*(Data(*(tensor.double() for tensor in part)) for part in CUBIC.split()))
ERRORS, DECISIONS = Descent(3e-2, 60), Descent(1e-2, 60)
METRIC = TaskMet(inner=ClosedForm(), hidden=(5,), learning_rate=0.1, steps=5)
SETUP = replace(
    SETUPS["cubic"],
    descent=ERRORS,
    decision_descent=DECISIONS,
    lodl_samples=20,
    taskmet=METRIC,
)
TRAINED = {
    "mse": MSE(descent=ERRORS),
    "mse_by_task": MSE(descent=ERRORS, chosen_by="decisions"),
    "dfl": DFL(alpha=0.1, descent=DECISIONS),
    "lodl": LODL(alpha=0.1, num_samples=20, descent=ERRORS),
    "lodl_directed": LODL(alpha=0.1, family="directed", num_samples=20, descent=ERRORS),
    "lodl_quadratic": LODL(alpha=0.1, family="quadratic", num_samples=20, descent=ERRORS),
    "taskmet": METRIC,
    "taskmet_frozen": replace(METRIC, hypergradient=NoHypergradient()),
}


@cache
def predictions(method, data=DATA):
    return METHODS[method](SETUP, 0.1)(CUBIC, LINE, data, generator(SEED))


def least_squares():
    """The line through the training data, its bias last as the network has it."""
    x, y = (tensor.flatten(0, 1) for tensor in DATA.train[:2])
    return torch.linalg.lstsq(torch.cat([x, torch.ones_like(x)], 1), y).solution.flatten()


@pytest.mark.parametrize("method", TRAINED)
def test_a_method_is_what_its_name_says_trained_and_chosen_by_the_data_for_it(method):
    fit = TRAINED[method].fit(CUBIC, LINE, DATA.train, DATA.validation, generator(SEED))
    assert torch.equal(predictions(method), predict(LINE, fit.parameters, DATA.test))


def test_no_two_methods_predict_the_same():
    """But for TaskMet without its metric, which TaskMet may choose to be."""
    methods = METHODS.keys() - {"taskmet_frozen"}
    found = torch.stack([predictions(method).double().flatten() for method in methods])
    assert (torch.pdist(found) > 1e-3).all()


@pytest.mark.parametrize("method", METHODS)
def test_what_is_reported_on_changes_nothing_that_is_learned(method):
    """Half of the test instances keep their features, and so their predictions."""
    test = DATA.test
    changed = test._replace(
        features=torch.cat([test.features[:4], -test.features[4:]]), targets=-test.targets
    )
    found = predictions(method, DATA._replace(test=changed))
    assert torch.equal(found[:4], predictions(method)[:4])


@pytest.mark.parametrize("chosen_by", ["relaxed", "taken"])
def test_the_metric_learns_from_training_data_and_is_chosen_by_validation_data(chosen_by):
    method = replace(METRIC, chosen_by=chosen_by)
    row = method.fit(CUBIC, LINE, DATA.train, DATA.validation, generator(SEED)).log[0]
    teaches, chooses = loss_of(CUBIC), loss_of(CUBIC, relaxed=chosen_by == "relaxed")
    by_line = [predict(LINE, least_squares(), part) for part in (DATA.train, DATA.validation)]
    assert row["task_loss"] == pytest.approx(teaches(by_line[0], DATA.train).item())
    assert row["validation_loss"] == pytest.approx(chooses(by_line[1], DATA.validation).item())


def test_a_metric_without_a_hypergradient_stays_with_least_squares():
    method = TRAINED["taskmet_frozen"]
    fit = method.fit(CUBIC, LINE, DATA.train, DATA.validation, generator(SEED))
    assert [row["hypergradient"] for row in fit.log] == [0] * METRIC.steps
    assert_close(fit.parameters, least_squares())
    rows = DATA.train.features.flatten(0, 1)
    weights = method.metric(1, 1).weights(fit.metric_parameters, rows)
    assert_close(weights, torch.ones_like(rows))


@pytest.mark.parametrize(("problem", "kind"), [("cubic", Cubic), ("budget", Budget)])
def test_an_experiment_draws_by_the_model_s_seed_and_reports_on_test_data(problem, kind):
    options = {"problem": problem, "dataset_seed": 41, "model_seed": 42}
    found = Experiment(method="random", **options).run().quality
    test = kind(seed=41).split().test
    y_hat = torch.rand(test.targets.shape, generator=stream(42, "model"))
    assert found == evaluate(kind(), y_hat, test, measure(kind(), test))


def test_an_experiment_predicts_within_the_range_from_the_mean_of_the_training_data(monkeypatch):
    small = replace(SETUPS["budget"], network=MLP((10, 10)), descent=Descent(1e-3, 5))
    monkeypatch.setitem(SETUPS, "budget", small)
    options = {"problem": "budget", "dataset_seed": 41, "model_seed": 42}
    found = Experiment(method="mse", **options).run().quality
    train, validation, test = Budget(seed=41).split()
    network = Bounded(small.network, (0.0, 1.0), start=train.targets.mean().item())
    method = MSE(descent=small.descent)
    fit = method.fit(Budget(), network, train, validation, stream(42, "model"))
    assert found == evaluate(Budget(), predict(network, fit.parameters, test), test)


def test_budget_standardises_by_the_training_data_alone():
    """Whatever the others are, the training data stay the same."""
    few, many = (Budget(sizes=(8, *others)).split().train for others in ((3, 2), (7, 90)))
    assert torch.equal(few.targets, many.targets)
    assert torch.equal(few.features, many.features)
