"""The bilevel trainer: its hypergradient against finite differences, and what it learns."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from cases import (
    SharedFeatures,
    assert_close,
    draw_metric,
    draw_problem,
    draws,
    generator,
    metrics,
    minimum,
    parametrized,
)
from mbrl_taskmet.adam import Adam, adam_init
from mbrl_taskmet.decision import (
    AdamFit,
    BilevelTrainer,
    Budget,
    ClosedForm,
    Cubic,
    Data,
    Descent,
    OverItems,
    PerItem,
    Portfolio,
    Task,
    TaskMet,
    loss_of,
)
from mbrl_taskmet.decision.fitting import Progress, loss_gradient, prediction_gradient
from mbrl_taskmet.forms import Diagonal
from mbrl_taskmet.hypergradient import ImplicitGradient, PredictionProblem
from mbrl_taskmet.linear_solvers import Exact
from mbrl_taskmet.metric import UnconditionalMetric
from mbrl_taskmet.mlp import MLP
from mbrl_taskmet.networks import ModuleNetwork

EXACT = ImplicitGradient(Exact(), damping=0.0)
PROBLEMS = {
    "cubic": Cubic(sizes=(30, 1, 1), num_items=4, epsilon=0.2),
    "budget": Budget(sizes=(30, 1, 1), regime="nuisance", temperature=0.2),
    "portfolio": Portfolio(sizes=(20, 1, 1)),
}
METRICS = {
    "scalar-per-item": {"form": "scalar", "scope": PerItem(), "hidden": (3,)},
    "diagonal-per-item": {"form": "diagonal", "scope": PerItem(), "hidden": (3,)},
    "full-per-item": {"form": "full", "scope": PerItem(), "hidden": (3,)},
    "diagonal-over-items": {"form": "diagonal", "scope": OverItems(), "hidden": None},
    "full-over-items": {"form": "full", "scope": OverItems(), "hidden": None},
    "conditional-over-items": {"form": "diagonal", "scope": OverItems(), "hidden": (3,)},
}


@pytest.mark.parametrize("options", METRICS.values(), ids=METRICS.keys())
@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS.keys())
def test_hypergradient_is_the_slope_of_the_task_loss_after_training(problem, options):
    train = Data(*(tensor.double() for tensor in problem.split().train))
    train = train._replace(features=train.features[..., :6])
    method, task_loss = TaskMet(**options), loss_of(problem)
    inputs, targets = method.scope.rows(train.features), method.scope.rows(train.targets)
    item = MLP((train.features.shape[-1], train.targets.shape[-1]))
    network = method.scope.network(item, train.features.shape[1])
    metric = method.metric(inputs.shape[-1], targets.shape[-1])
    fitted = PredictionProblem(network, metric, inputs, targets)

    def task(y_hat):
        return task_loss(y_hat.view_as(train.targets), train)

    def trained(phi):
        start = Progress.start(torch.zeros(network.num_parameters, dtype=torch.float64))
        return ClosedForm()(fitted, phi, start).parameters

    phi = 0.3 * draw_metric(metric)
    theta = trained(phi)
    _, gradient = loss_gradient(network, theta, inputs, task)
    found = EXACT(fitted, theta, phi, gradient).gradient
    normal, step = draws(8), 1e-5
    for direction in (normal(*phi.shape) for _ in range(2)):
        outputs = (network(trained(phi + s * step * direction), inputs) for s in (1, -1))
        slope = torch.sub(*(task(y_hat) for y_hat in outputs)) / (2 * step)
        assert_close(found @ direction, slope, rtol=1e-4, atol=1e-8)


def slopes(function, point, step=1e-5):
    """Central differences along each coordinate."""
    sides = [[function(point + s * step * e) for s in (1, -1)] for e in torch.eye(len(point))]
    return torch.stack([(above - below) / (2 * step) for above, below in sides])


@parametrized("metric", metrics(True))
def test_the_task_gradient_is_taken_on_the_tasks_own_rows(metric):
    """Training of both levels, once more: refit under each neighbour of φ, and Adam on φ."""
    problem = draw_problem(ModuleNetwork(SharedFeatures()), metric, rows=40)
    network, start = problem.network, problem.network.init(generator(), torch.float64)
    # The losses take any number of rows, so that other rows are another value and no error.
    task = Task(draws(1)(17, 5), lambda y_hat: (y_hat - 0.3).square().mean())
    validation = Task(draws(2)(9, 5), lambda y_hat: (y_hat + 0.1).square().mean())
    trainer = BilevelTrainer(
        network=network, metric=metric, inner=ClosedForm(), hypergradient=EXACT, steps=3
    )
    data = (problem.inputs, problem.targets)
    found = trainer.train(*data, task, validation, generator=generator())

    def after_training(phi, use):
        theta = ClosedForm()(problem, phi, Progress.start(start)).parameters
        return use.loss(network(theta, use.inputs))

    phi = metric.init(generator(), torch.float64)
    moments = adam_init(phi)
    for row in found.log:
        gradient = slopes(lambda phi: after_training(phi, task), phi)
        expected = {
            "task_loss": after_training(phi, task).item(),
            "validation_loss": after_training(phi, validation).item(),
            "hypergradient": gradient.norm().item(),
        }
        assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-5)
        phi, moments = Adam(trainer.learning_rate).step(phi, gradient, moments)


def test_gradient_of_a_loss_of_predictions_is_that_by_autograd():
    network = MLP((3, 4, 2))
    theta, inputs = network.init(generator(), torch.float64), draws()(5, 3)
    value, found = loss_gradient(network, theta, inputs, lambda y_hat: y_hat.exp().mean())
    expected = torch.func.grad(lambda t: network(t, inputs).exp().mean())(theta)
    assert_close(value, network(theta, inputs).exp().mean())
    assert_close(found, expected)


def weighted_problem(network):
    metric = TaskMet(form="full", hidden=(3,)).metric(3, 2)
    normal = draws()
    problem = PredictionProblem(network, metric, normal(20, 3), normal(20, 2))
    return problem, draw_metric(metric)


def test_prediction_gradient_is_that_by_autograd():
    problem, phi = weighted_problem(MLP((3, 4, 2)))
    theta = problem.network.init(generator(), torch.float64)
    expected = torch.func.grad(lambda t: problem.loss(t, phi))(theta)
    weigh = problem.metric.at(phi, problem.inputs)
    assert_close(prediction_gradient(problem, theta, weigh), expected)


def test_closed_form_is_the_minimum_that_newton_finds_and_adam_goes_to():
    problem, phi = weighted_problem(MLP((3, 2)))
    start = Progress.start(problem.network.init(generator(), torch.float64))
    found = ClosedForm()(problem, phi, start).parameters
    assert_close(found, minimum(lambda t: problem.loss(t, phi), start.parameters))
    descended = AdamFit(3_000, 1e-2)(problem, phi, start).parameters
    assert_close(descended, found, rtol=0, atol=1e-4)


def test_a_warm_start_goes_on_where_the_last_fit_ended():
    problem, phi = weighted_problem(MLP((3, 4, 2)))
    start = Progress.start(problem.network.init(generator(), torch.float64))
    half = AdamFit(5)
    twice, once = half(problem, phi, half(problem, phi, start)), AdamFit(10)(problem, phi, start)
    assert_close(twice.parameters, once.parameters)


def test_closed_form_refuses_a_model_that_is_not_linear():
    problem, phi = weighted_problem(MLP((3, 4, 2)))
    start = Progress.start(problem.network.init(generator(), torch.float64))
    with pytest.raises(ValueError, match=r"linear in their parameters.* use AdamFit"):
        ClosedForm()(problem, phi, start)


def competing_targets():
    """One slope for two targets that disagree, of which the task is about the second."""
    inputs = draws()(50, 1)
    return inputs, torch.cat([inputs, -inputs], 1), ModuleNetwork(OneSlope())


class OneSlope(nn.Module):
    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(1))

    def forward(self, inputs):
        return (self.slope * inputs).expand(-1, 2)


def test_the_metric_comes_to_weigh_what_the_task_is_about():
    inputs, targets, network = competing_targets()
    trainer = BilevelTrainer(
        network=network,
        metric=UnconditionalMetric(Diagonal(2)),
        inner=ClosedForm(),
        hypergradient=EXACT,
        learning_rate=0.1,
    )
    task = Task(inputs, lambda y_hat: mse_loss(y_hat[:, 1], targets[:, 1]))
    found = trainer.train(inputs, targets, task, generator=generator())
    first, last = found.log[0], found.log[-1]
    assert first["task_loss"] == pytest.approx(inputs.square().mean().item())
    assert last["task_loss"] < 0.01 * first["task_loss"]
    weights = trainer.metric.weights(found.metric_parameters, inputs)
    assert weights[1] > 10 * weights[0]
    assert last["solver_residual"] < 1e-6
    assert last["inner_gradient"] < 1e-8


def test_the_metric_stays_within_the_bounds_of_its_form():
    """At them, the slope is the mean of 1 and −1 under weights of 2/3 and 3/2."""
    inputs, targets, network = competing_targets()
    bounded = UnconditionalMetric(Diagonal(2, largest=1.5))
    options = {"inner": ClosedForm(), "hypergradient": EXACT, "learning_rate": 0.3}
    trainer = BilevelTrainer(network=network, metric=bounded, steps=20, **options)
    task = Task(inputs, lambda y_hat: mse_loss(y_hat[:, 1], targets[:, 1]))
    found = trainer.train(inputs, targets, task, generator=generator())
    slope = (2 / 3 - 3 / 2) / (2 / 3 + 3 / 2)
    assert_close(found.parameters, torch.tensor([slope], dtype=torch.float64))


@pytest.mark.parametrize("first_steps", [0, 1, 3])
def test_the_first_fits_are_under_the_identity(first_steps):
    problem, _ = weighted_problem(MLP((3, 4, 2)))
    metric, network = UnconditionalMetric(Diagonal(2)), problem.network
    options = {"inner": AdamFit(5), "first_steps": first_steps, "steps": 2}
    trainer = BilevelTrainer(network=network, metric=metric, **options)
    task = Task(problem.inputs, lambda y_hat: y_hat.square().mean())
    found = trainer.train(problem.inputs, problem.targets, task, generator=generator())

    def squared_errors(theta):
        return (network(theta, problem.inputs) - problem.targets).square().sum(-1).mean()

    theta = network.init(generator(), torch.float64)
    moments = adam_init(theta)
    for _ in range(5 * first_steps):
        gradient = torch.func.grad(squared_errors)(theta)
        theta, moments = Adam(AdamFit().learning_rate).step(theta, gradient, moments)
    assert_close(found.start, theta)


def test_what_is_kept_was_fitted_under_the_metric_that_is_kept():
    """The validation's optimum lies on the way, at half of the slope that the task is about."""
    inputs, targets, network = competing_targets()
    options = {"metric": UnconditionalMetric(Diagonal(2)), "inner": ClosedForm()}
    trainer = BilevelTrainer(network=network, hypergradient=EXACT, learning_rate=0.1, **options)
    task = Task(inputs, lambda y_hat: mse_loss(y_hat[:, 1], targets[:, 1]))
    validation = Task(inputs, lambda y_hat: mse_loss(y_hat[:, 1], 0.5 * targets[:, 1]))
    found = trainer.train(inputs, targets, task, validation, generator=generator())
    losses = [row["validation_loss"] for row in found.log]
    assert 0 < losses.index(min(losses)) < len(losses) - 1
    problem = PredictionProblem(network, options["metric"], inputs, targets)
    refitted = ClosedForm()(problem, found.metric_parameters, Progress.start(found.start))
    assert_close(refitted.parameters, found.parameters)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"inputs": torch.zeros(3)}, r"must be matrices .* \(3,\)"),
        ({"inputs": torch.full((50, 2), torch.nan)}, "The inputs must be finite"),
        ({"loss": lambda y_hat: y_hat.square()}, r"must be a scalar.* got shape \(50, 2\)"),
        ({"loss": lambda y_hat: y_hat.argmax().float()}, "cannot be differentiated .* smoothly"),
    ],
)
def test_data_that_do_not_fit_are_refused_in_one_sentence(options, complaint):
    inputs, targets, network = competing_targets()
    trainer = BilevelTrainer(network=network, metric=UnconditionalMetric(Diagonal(2)))
    task = Task(inputs, options.get("loss", lambda y_hat: y_hat.mean()))
    with pytest.raises(ValueError, match=complaint):
        trainer.train(options.get("inputs", inputs), targets, task, generator=generator())


def test_a_loss_that_is_not_finite_ends_the_training():
    inputs, targets, network = competing_targets()
    trainer = BilevelTrainer(network=network, metric=UnconditionalMetric(Diagonal(2)))
    task = Task(inputs, lambda y_hat: y_hat.sum() * torch.nan)
    with pytest.raises(FloatingPointError, match=r"loss is nan .* lower the learning rate"):
        trainer.train(inputs, targets, task, generator=generator())


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (lambda: AdamFit(0), "^steps must be a positive whole number; got 0"),
        (lambda: AdamFit(2.5), r"^steps must be a positive whole number; got 2\.5"),
        (lambda: AdamFit(learning_rate="x"), "^learning_rate must be positive; got 'x'"),
        (lambda: Descent(-1.0), r"^learning_rate must be positive; got -1\.0"),
        (lambda: Descent(check_every=0), "^check_every must be a positive whole number; got 0"),
        (lambda: trainer(steps=2.5), r"^steps must be a positive whole number; got 2\.5"),
    ],
)
def test_training_that_goes_nowhere_is_refused(build, complaint):
    with pytest.raises(ValueError, match=complaint):
        build()


def trainer(**options):
    return BilevelTrainer(network=MLP((1, 1)), metric=UnconditionalMetric(Diagonal(1)), **options)


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (lambda: trainer(first_steps=-1), "first_steps.* whole number from 0 up; got -1"),
        (lambda: trainer(first_steps=0.5), r"first_steps.* whole number from 0 up; got 0\.5"),
        (lambda: trainer(patience=0), "patience must be a whole number from 1 up.* got 0"),
        (lambda: Descent(patience=1.5), r"patience must be a whole number from 1 up.* got 1\.5"),
    ],
)
def test_bad_settings_of_a_training_are_refused_in_one_sentence(build, complaint):
    with pytest.raises(ValueError, match=complaint):
        build()


@pytest.mark.parametrize("page", ["decision.md"])
def test_the_code_in_the_documentation_runs_and_does_what_it_says(page):
    text = (Path(__file__).parents[2] / "docs" / page).read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert sum(bool(line) for line in code.splitlines()) <= 30
    names: dict[str, object] = {}
    exec(code, names)
    assert names["after"] < names["before"]
