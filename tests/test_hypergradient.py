"""Hypergradients of one prediction problem, against dense algebra and against each other."""

import math

import pytest
import torch
from torch import nn

from cases import (
    A,
    N,
    SharedFeatures,
    assert_close,
    dense_curvature,
    dense_hypergradient,
    dense_mixed_derivative,
    draw_metric,
    draw_problem,
    draws,
    every_metric,
    every_normalized_metric,
    generator,
    identity,
    loss_of,
    matrices,
    metrics,
    minimum,
    parametrized,
)
from mbrl_taskmet.forms import Cholesky, Diagonal
from mbrl_taskmet.hypergradient import (
    FullHessian,
    GaussNewton,
    ImplicitGradient,
    UnrolledGradient,
)
from mbrl_taskmet.linear_solvers import (
    ConjugateGradient,
    Exact,
    NeumannSeries,
    NormalEquationCG,
)
from mbrl_taskmet.metric import UnconditionalMetric
from mbrl_taskmet.mlp import MLP
from mbrl_taskmet.networks import ModuleNetwork

PERCEPTRON = MLP((N + A, 4, N))
LINEAR = ModuleNetwork(SharedFeatures())
BENT = ModuleNetwork(SharedFeatures(nn.Tanh()))

every_network = parametrized("network", {"perceptron": PERCEPTRON, "module": BENT})
every_curvature = parametrized(
    "curvature", {"gauss_newton": GaussNewton(), "full_hessian": FullHessian()}
)


def draw_point(network, metric):
    """θ, φ and a gradient in θ."""
    theta = network.init(generator(), torch.float64)
    return theta, draw_metric(metric), draws(9)(*theta.shape)


def optimum(problem, phi):
    """θ*(φ), and a gradient in θ."""
    start = torch.zeros(problem.network.num_parameters, dtype=torch.float64)
    return minimum(lambda t: loss_of(problem)(t, phi), start), draws(9)(*start.shape)


@every_metric
@every_network
def test_loss_is_the_mahalanobis_distance(network, metric):
    problem = draw_problem(network, metric)
    theta, phi, _ = draw_point(network, metric)
    assert_close(problem.loss(theta, phi), loss_of(problem)(theta, phi))


@every_metric
@every_network
@every_curvature
def test_curvature_is_the_dense_one(network, metric, curvature):
    problem = draw_problem(network, metric)
    theta, phi, _ = draw_point(network, metric)
    model = network.linearize(theta, problem.inputs)
    weighted = metric.apply(phi, problem.inputs, model.outputs - problem.targets)
    product = curvature(problem, phi, model, weighted)
    columns = [product(e) for e in identity(len(theta))]
    assert_close(torch.stack(columns, 1), dense_curvature(problem, theta, phi, curvature))


@every_metric
@every_network
@pytest.mark.parametrize(
    "estimator",
    [
        ImplicitGradient(Exact(), GaussNewton(), 1e-3),
        ImplicitGradient(Exact(), FullHessian(), 1e-3),
        ImplicitGradient(ConjugateGradient(100), GaussNewton(), 1e-2),
        ImplicitGradient(ConjugateGradient(50), FullHessian(), 10.0),
        ImplicitGradient(NormalEquationCG(100), FullHessian(), 1.0),
    ],
    ids=lambda e: f"{type(e.solver).__name__}-{type(e.curvature).__name__}",
)
def test_implicit_gradient_is_the_dense_solve(network, metric, estimator):
    problem = draw_problem(network, metric)
    point = draw_point(network, metric)
    found = estimator(problem, *point)
    expected = dense_hypergradient(problem, *point, estimator.curvature, estimator.damping)
    assert_close(found.gradient, expected, rtol=1e-6, atol=1e-8)
    assert found.relative_residual < 1e-8


def test_reported_residual_is_that_of_the_damped_system():
    metric = metrics(True)["unconditional-cholesky-normalised"]
    problem = draw_problem(PERCEPTRON, metric)
    theta, phi, gradient = draw_point(PERCEPTRON, metric)
    damped = dense_curvature(problem, theta, phi, GaussNewton()) + 0.5 * identity(len(theta))
    _, expected = ConjugateGradient(3)(damped.mv, gradient)
    found = ImplicitGradient(ConjugateGradient(3), damping=0.5)(problem, theta, phi, gradient)
    assert 0.01 < expected < 1
    assert_close(found.relative_residual, expected)


@every_metric
def test_curvatures_agree_where_the_errors_vanish(metric):
    problem = draw_problem(BENT, metric)
    point = draw_point(BENT, metric)
    realised = problem._replace(targets=BENT(point[0], problem.inputs))
    assert_close(
        dense_curvature(realised, *point[:2], GaussNewton()),
        dense_curvature(realised, *point[:2], FullHessian()),
    )


@every_metric
def test_optimum_of_a_realisable_model_does_not_depend_on_the_metric(metric):
    problem = draw_problem(LINEAR, metric)
    truth, phi, gradient = draw_point(LINEAR, metric)
    realisable = problem._replace(targets=LINEAR(truth, problem.inputs))
    for other in (phi, -2 * phi):
        theta, _ = optimum(realisable, other)
        assert_close(theta, truth)
    found = ImplicitGradient(Exact(), damping=0.0)(realisable, truth, phi, gradient)
    assert_close(found.gradient, torch.zeros_like(phi))


@every_metric
def test_optimum_of_a_misspecified_model_does(metric):
    """So that the tests around this one have something to find."""
    problem = draw_problem(LINEAR, metric)
    phi = draw_metric(metric)
    theta, gradient = optimum(problem, phi)
    assert (theta - optimum(problem, -2 * phi)[0]).abs().max() > 1e-2
    found = ImplicitGradient(Exact(), damping=0.0)(problem, theta, phi, gradient)
    assert found.gradient.abs().max() > 1e-3


@pytest.mark.parametrize("form", [Diagonal, Cholesky])
@pytest.mark.parametrize("normalize", [True, False])
def test_scaling_the_metric_does_not_move_the_optimum(form, normalize):
    metric = UnconditionalMetric(form(N, normalize))
    problem = draw_problem(LINEAR, metric)
    phi = draw_metric(metric)
    theta, gradient = optimum(problem, phi)
    found = ImplicitGradient(Exact(), damping=0.0)(problem, theta, phi, gradient).gradient
    # Along this direction every softplus, and every entry below the diagonal, grows in proportion.
    direction = phi.clone()
    direction[:N] = nn.functional.softplus(phi[:N]) / torch.sigmoid(phi[:N])
    _, change = torch.func.jvp(
        lambda p: matrices(UnconditionalMetric(form(N, False)), p, problem.inputs),
        (phi,),
        (direction,),
    )
    power = 1 if form is Diagonal else 2
    unnormalized = matrices(UnconditionalMetric(form(N, False)), phi, problem.inputs)
    assert_close(change, power * unnormalized)
    assert found.norm() > 1e-3
    assert abs(found @ direction) < 1e-12


@every_normalized_metric
def test_one_unrolled_step_is_its_closed_form(metric):
    """θ − η ∂_θL(θ, φ) pulls g back to −η ∂_φ⟨∂_θL, g⟩."""
    problem = draw_problem(PERCEPTRON, metric)
    theta, phi, gradient = draw_point(PERCEPTRON, metric)
    found = UnrolledGradient(1, 0.05)(problem, theta, phi, gradient)
    expected = -0.05 * dense_mixed_derivative(problem, theta, phi).T @ gradient
    assert_close(found.gradient, expected)
    assert found.relative_residual == 0


@every_normalized_metric
def test_steps_unrolled_at_the_optimum_are_the_neumann_series_of_as_many_terms(metric):
    problem = draw_problem(BENT, metric)
    phi = draw_metric(metric)
    theta, gradient = optimum(problem, phi)
    implicit = ImplicitGradient(NeumannSeries(3, 0.2), FullHessian(), damping=0.0)
    assert_close(
        UnrolledGradient(4, 0.2)(problem, theta, phi, gradient).gradient,
        implicit(problem, theta, phi, gradient).gradient,
    )


@every_normalized_metric
def test_long_unroll_from_anywhere_is_the_implicit_gradient(metric):
    problem = draw_problem(LINEAR, metric, rows=30)
    phi = draw_metric(metric)
    theta, gradient = optimum(problem, phi)
    eigenvalues = torch.linalg.eigvalsh(dense_curvature(problem, theta, phi, GaussNewton()))
    unrolled = UnrolledGradient(200, 2 / (eigenvalues[0] + eigenvalues[-1]).item())
    start = LINEAR.init(generator(), torch.float64)
    implicit = ImplicitGradient(Exact(), damping=0.0)
    assert_close(
        unrolled(problem, start, phi, gradient).gradient,
        implicit(problem, theta, phi, gradient).gradient,
    )


@pytest.mark.parametrize("estimator", [ImplicitGradient(), UnrolledGradient()])
def test_estimates_need_no_tape_and_leave_none(estimator):
    metric = metrics(True)["conditional-cholesky-normalised"]
    problem = draw_problem(PERCEPTRON, metric)
    point = draw_point(PERCEPTRON, metric)
    expected = estimator(problem, *point)
    with torch.no_grad():
        found = estimator(problem, *point)
    assert_close(found.gradient, expected.gradient)
    assert not any(part.requires_grad for part in (*found, *expected, *point))


@pytest.mark.parametrize("damping", [-0.1, math.nan, math.inf, "x"])
def test_a_damping_that_is_no_size_is_refused(damping):
    with pytest.raises(
        ValueError, match=f"damping must be finite and not negative; got {damping!r}"
    ):
        ImplicitGradient(damping=damping)


@pytest.mark.parametrize("part", ["solver", "curvature"])
def test_a_part_that_does_nothing_is_refused(part):
    with pytest.raises(ValueError, match=f"{part} must be an object such as the default; got None"):
        ImplicitGradient(**{part: None})


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"steps": 0}, "positive whole number; got 0"),
        ({"steps": 2.0}, r"positive whole number; got 2\.0"),
        ({"learning_rate": 0.0}, r"learning rate must be finite and positive; got 0\.0"),
        ({"learning_rate": math.nan}, "learning rate must be finite and positive; got nan"),
    ],
)
def test_unroll_that_goes_nowhere_is_refused(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        UnrolledGradient(**options)


@pytest.mark.parametrize("part", [{"solver": NormalEquationCG}, {"curvature": FullHessian}])
def test_a_class_in_place_of_an_object_is_refused_at_once(part):
    """Called in the update, it would make an object of what it is to solve."""
    (given,) = part.values()
    with pytest.raises(ValueError, match=rf"is a class: pass an object, {given.__name__}\(\)"):
        ImplicitGradient(**part)
