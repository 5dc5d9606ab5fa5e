"""The methods against closed forms, and against what they are known to do on Cubic."""

from dataclasses import replace

import pytest
import torch

from cases import Weighted, assert_close, draws, generator
from mbrl_taskmet.decision import (
    DFL,
    LODL,
    MSE,
    Budget,
    ClosedForm,
    Cubic,
    Data,
    Descent,
    TaskMet,
    evaluate,
    loss_of,
    predict,
)
from mbrl_taskmet.decision.forms import Directed, Scalar
from mbrl_taskmet.decision.methods import squared_error
from mbrl_taskmet.decision.problem import sign_of
from mbrl_taskmet.mlp import MLP

LINE = MLP((1, 1))
CUBIC = Cubic(seed=100, sizes=(100, 50, 200))
DESCENT = Descent(3e-2, 400)


def quality(method, problem=CUBIC):
    train, validation, test = problem.split()
    fit = method.fit(problem, LINE, train, validation, generator())
    return evaluate(problem, predict(LINE, fit.parameters, test), test)


def test_least_squares_are_the_regression_line():
    train, validation, _ = CUBIC.split()
    fit = MSE(descent=Descent(1e-2, 3_000, patience=3_000)).fit(
        CUBIC, LINE, train, train, generator()
    )
    x = train.features.flatten()
    design = torch.stack([x, torch.ones_like(x)], 1)
    expected = torch.linalg.lstsq(design, train.targets.flatten(0, 1)).solution.flatten()
    assert_close(fit.parameters, expected, rtol=0, atol=1e-3)
    assert validation.targets.shape == (50, 50, 1)


def test_least_squares_can_be_chosen_by_what_they_decide():
    """The same descent, of which another point is kept."""
    train, validation, _ = CUBIC.split()
    fits = [
        MSE(descent=DESCENT, chosen_by=by).fit(CUBIC, LINE, train, validation, generator())
        for by in ("error", "decisions")
    ]
    by_error, by_decisions = (predict(LINE, fit.parameters, validation) for fit in fits)
    task_loss = loss_of(CUBIC)
    assert task_loss(by_decisions, validation) < task_loss(by_error, validation)
    assert squared_error(by_error, validation) < squared_error(by_decisions, validation)


def test_least_squares_decide_worse_than_chance_on_cubic_and_taskmet_does_not():
    by_error = quality(MSE(descent=DESCENT))
    by_task = quality(TaskMet(inner=ClosedForm(), hidden=(20,), steps=60))
    assert by_error.decision_quality < -0.9
    assert by_task.decision_quality > 0.9
    assert by_error.mse < by_task.mse


def test_of_metrics_that_decide_alike_the_first_is_nearest_to_least_squares():
    method = TaskMet(inner=ClosedForm(), hidden=(20,), steps=60)
    relaxed, taken = quality(method), quality(replace(method, chosen_by="taken"))
    assert taken.decision_quality >= relaxed.decision_quality - 0.02
    assert taken.mse < relaxed.mse


def test_alpha_takes_dfl_to_least_squares():
    plain, heavy = quality(DFL(descent=DESCENT)), quality(DFL(alpha=1e4, descent=DESCENT))
    least = quality(MSE(descent=DESCENT)).mse
    assert heavy.mse == pytest.approx(least, rel=0.01)
    assert plain.mse > heavy.mse


@pytest.mark.parametrize("family", ["weighted_mse", "directed", "quadratic"])
def test_local_losses_recover_a_regret_of_their_family(family):
    data = Data(torch.zeros(4, 3, 1), draws()(4, 3, 1).float(), torch.zeros(4, 0))
    method = LODL(family=family, num_samples=200, fit_steps=1_000)
    loss = method.local_loss(Weighted(), data, generator())
    y_hat = data.targets + draws(1)(4, 3, 1).float()
    expected = Weighted().objective(data.targets, y_hat, data.aux).mean()
    assert_close(loss(y_hat, data), expected, rtol=0.01, atol=0)


def test_sampled_regrets_are_what_errors_cost_the_decision():
    data = Data(torch.zeros(4, 3, 1), draws()(4, 3, 1).float(), torch.zeros(4, 0))
    errors, regrets = LODL(num_samples=7).sample(Weighted(), data, generator())
    assert errors.shape == (4, 7, 3)
    assert_close(regrets, (errors.square() * Weighted.weights).sum(-1), rtol=1e-4, atol=1e-4)


def test_samples_are_predictions_that_could_be_made():
    data = Budget(sizes=(3, 1, 1)).split().train
    errors, _ = LODL(num_samples=20).sample(Budget(), data, generator())
    samples = data.targets.flatten(1).unsqueeze(1) + errors
    assert samples.min() >= 0
    assert samples.max() <= 1


def test_symmetric_local_losses_do_not_help_on_cubic():
    """Errors cost the same above and below the truth, as with least squares."""
    method = LODL(num_samples=100, fit_steps=100, descent=DESCENT)
    assert quality(method).decision_quality < -0.9


def test_the_same_generator_trains_the_same():
    runs = [quality(DFL(descent=Descent(1e-2, 20))) for _ in range(2)]
    assert runs[0] == runs[1]


def test_directed_weights_are_for_the_sign_of_the_error():
    raw = torch.tensor([0.0, 1.0, 2.0, 3.0]).double()
    above, below = torch.nn.functional.softplus(raw).split(2)
    errors = torch.tensor([[1.0, -1.0], [-2.0, 2.0]]).double()
    expected = torch.stack(
        [torch.stack([above[0], -below[1]]), torch.stack([-2 * below[0], 2 * above[1]])]
    )
    assert_close(Directed(2).product(raw)(errors), expected)


def test_one_scalar_weighs_all_dimensions_of_a_row():
    form = Scalar(3)
    vectors = draws()(4, 3)
    assert_close(form.product(form.identity())(vectors), vectors)
    weights = form.diagonal(torch.zeros(4, 1))
    assert weights.shape == (4, 3)
    assert_close(form.product(torch.zeros(4, 1))(vectors), weights.double() * vectors, rtol=1e-6)


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (lambda: DFL(alpha=-1.0), "alpha.* must be 0 or more; got -1"),
        (lambda: LODL(alpha=-1.0), "alpha.* must be 0 or more; got -1"),
        (
            lambda: LODL(family="cubic"),
            "no family of local losses 'cubic': choose one of weighted_mse",
        ),
        (
            lambda: TaskMet(form="round"),
            "no form of a metric 'round': choose one of scalar, diagonal",
        ),
        (lambda: TaskMet(steps=0), "steps must be a positive whole number; got 0"),
        (lambda: TaskMet(first_steps=-1), "first_steps.* whole number from 0 up; got -1"),
        (lambda: LODL(num_samples=1.5), "num_samples must be a positive whole number; got 1.5"),
        (lambda: TaskMet(patience=0), "patience must be a whole number from 1 up"),
        (lambda: TaskMet(chosen_by="hard"), "'relaxed' or 'taken'; got 'hard'"),
        (lambda: MSE(chosen_by="task"), "'error' or 'decisions'; got 'task'"),
        (lambda: sign_of("maximise"), "'maximize' or 'minimize'; got 'maximise'"),
    ],
)
def test_bad_settings_are_refused_in_one_sentence(build, complaint):
    with pytest.raises(ValueError, match=complaint):
        build()


@pytest.mark.parametrize(
    "method", [MSE(), DFL(), TaskMet(), LODL()], ids=lambda m: type(m).__name__
)
def test_data_that_are_not_instances_of_items_are_refused(method):
    train = CUBIC.split().train
    flat = train._replace(targets=train.targets.squeeze(-1))
    with pytest.raises(ValueError, match=r"targets \(B, I, T\) .* got \(100, 50, 1\), \(100, 50\)"):
        method.fit(CUBIC, LINE, flat, train, generator())


def test_samples_that_cost_nothing_are_refused():
    problem = Cubic(sizes=(2, 1, 1))
    with pytest.raises(ValueError, match="nothing to imitate: raise sample_std"):
        LODL(num_samples=2, sample_std=1e-9).fit(problem, LINE, *problem.split()[:2], generator())


@pytest.mark.parametrize(
    "method", [MSE(), DFL(), TaskMet(), LODL()], ids=lambda m: type(m).__name__
)
@pytest.mark.parametrize("part", ["features", "targets"])
def test_data_that_are_no_numbers_are_refused(method, part):
    train, validation, _ = CUBIC.split()
    damaged = getattr(train, part).clone()
    damaged[3, 4] = torch.nan
    with pytest.raises(ValueError, match=f"The {part} must be finite: leave out or fill in"):
        method.fit(CUBIC, LINE, train._replace(**{part: damaged}), validation, generator())


class Hard(Cubic):
    """Decides as if `relaxed` had not been asked for."""

    def decision(self, y_hat, aux, *, relaxed=False):
        return super().decision(y_hat, aux)


@pytest.mark.parametrize("method", [DFL(), DFL(alpha=10.0), TaskMet()], ids=repr)
def test_a_decision_that_teaches_nothing_is_refused(method):
    problem = Hard(sizes=(4, 4, 4))
    with pytest.raises(ValueError, match="cannot be differentiated in the predictions: let it dec"):
        method.fit(problem, LINE, *problem.split()[:2], generator())


class Mixed(Cubic):
    """Forgets to sum over the items."""

    def objective(self, y, z, aux):
        return y.squeeze(-1) * z


@pytest.mark.parametrize("relaxed", [True, False])
def test_an_objective_that_does_not_keep_instances_apart_is_refused(relaxed):
    data = CUBIC.split().train
    with pytest.raises(ValueError, match="a number for each of the 100 instances; got shape"):
        loss_of(Mixed(seed=100, sizes=CUBIC.sizes), relaxed=relaxed)(data.targets, data)


def test_a_network_of_other_outputs_than_targets_is_refused():
    train, validation, _ = CUBIC.split()
    with pytest.raises(ValueError, match="has 4 outputs, and an item 1 targets: give it as many"):
        MSE().fit(CUBIC, MLP((1, 4)), train, validation, generator())
