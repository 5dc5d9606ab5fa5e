"""Metrics against their matrices written out."""

import math

import pytest
import torch

from cases import (
    A,
    B,
    N,
    assert_close,
    draw_metric,
    draws,
    every_metric,
    every_normalized_metric,
    generator,
    identity,
    matrices,
)
from mbrl_taskmet.forms import Cholesky, Diagonal
from mbrl_taskmet.hypergradient import PredictionProblem
from mbrl_taskmet.metric import ConditionalMetric, UnconditionalMetric, metric_gradient
from mbrl_taskmet.mlp import MLP

INPUTS = draws(11)(B, N + A)


def applied_matrices(metric, phi):
    """Λ of each row, column by column from its products."""
    columns = [metric.apply(phi, INPUTS, e.expand(B, N)) for e in identity(N)]
    return torch.stack(columns, -1)


@every_metric
def test_product_is_that_with_the_matrix(metric):
    phi, vectors = draw_metric(metric), draws()(B, N)
    expected = torch.einsum("bij,bj->bi", matrices(metric, phi, INPUTS), vectors)
    assert_close(metric.apply(phi, INPUTS, vectors), expected)


@every_metric
def test_weights_are_the_diagonal_of_the_matrix(metric):
    phi = draw_metric(metric)
    expected = matrices(metric, phi, INPUTS).diagonal(dim1=1, dim2=2)
    weights = metric.weights(phi, INPUTS)
    assert weights.shape == ((B, N) if isinstance(metric, ConditionalMetric) else (N,))
    assert_close(weights.expand(B, N), expected)


@every_metric
def test_weights_of_many_rows_are_those_of_each(metric):
    phi, inputs = draw_metric(metric), draws(12)(70, N + A)
    each = torch.cat([metric.weights(phi, row[None]).view(1, N) for row in inputs])
    assert_close(metric.weights(phi, inputs).expand(70, N), each)


@every_metric
def test_matrix_is_given_where_the_diagonal_does_not_say_all(metric):
    phi = draw_metric(metric)
    found, expected = metric.matrix(phi, INPUTS), matrices(metric, phi, INPUTS)
    if found is None:
        assert_close(expected, torch.diag_embed(expected.diagonal(dim1=1, dim2=2)))
    else:
        assert found.shape == ((B, N, N) if isinstance(metric, ConditionalMetric) else (N, N))
        assert_close(found.expand(B, N, N), expected)


@every_metric
def test_matrix_is_symmetric_and_positive_definite(metric):
    found = applied_matrices(metric, draw_metric(metric))
    assert_close(found, found.mT)
    assert torch.linalg.eigvalsh(found).min() > 0


@every_normalized_metric
def test_normalized_matrix_keeps_its_norm(metric):
    found = applied_matrices(metric, 3 * draw_metric(metric))
    assert_close(
        torch.linalg.matrix_norm(found), torch.full((B,), math.sqrt(N), dtype=torch.float64)
    )


@every_metric
def test_metric_starts_at_the_identity_and_the_loss_at_the_squared_error(metric):
    phi = metric.init(generator(), torch.float64)
    assert_close(applied_matrices(metric, phi), identity(N).expand(B, N, N))
    network, targets = MLP((N + A, 4, N)), draws()(B, N)
    theta = network.init(generator(), torch.float64)
    problem = PredictionProblem(network, metric, INPUTS, targets)
    squared = (network(theta, INPUTS) - targets).square()
    assert_close(problem.loss(theta, phi), squared.sum(1).mean())


@every_metric
def test_initial_parameters_have_the_dtype_that_is_asked_for(metric):
    assert metric.init(generator()).dtype == torch.float32


@every_metric
def test_gradient_is_that_of_autograd(metric):
    normal, phi = draws(), draw_metric(metric).requires_grad_()
    left, right = normal(B, N), normal(B, N)
    loss = torch.einsum("bi,bij,bj->", left, matrices(metric, phi, INPUTS), right)
    (expected,) = torch.autograd.grad(loss, phi)
    assert_close(metric_gradient(metric, phi.detach(), INPUTS, left, right), expected)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("leading", [(), (4,), (2, 4)])
def test_cholesky_factor_is_lower_triangular_and_makes_the_matrix(normalize, leading):
    form = Cholesky(4, normalize)
    raw = draws()(*leading, 10)
    factor = form.factor(raw)
    assert_close(factor, factor.tril())
    assert (factor.diagonal(dim1=-2, dim2=-1) > 0).all()
    expected = torch.zeros(*leading, 4, 4, dtype=torch.float64)
    expected.diagonal(dim1=-2, dim2=-1).copy_(torch.log1p(raw[..., :4].exp()))
    rows, columns = torch.tril_indices(4, 4, -1)
    expected[..., rows, columns] = raw[..., 4:]
    expected = expected @ expected.mT
    if normalize:
        expected *= 2 / torch.linalg.matrix_norm(expected, keepdim=True)
    assert_close(factor @ factor.mT, expected)
    assert_close(form.diagonal(raw), expected.diagonal(dim1=-2, dim2=-1))


@every_metric
def test_scaling_multiplies_rows_and_columns_by_the_root(metric):
    scale, phi = torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64), draw_metric(metric)
    scaled = metric.scaled(scale)
    expected = scale.sqrt()[:, None] * applied_matrices(metric, phi) * scale.sqrt()
    assert_close(applied_matrices(scaled, phi), expected)
    matrix = scaled.matrix(phi, INPUTS)
    if matrix is not None:
        assert_close(matrix.expand(B, N, N), expected)
    weights = scaled.weights(phi, INPUTS).expand(B, N)
    assert_close(weights, expected.diagonal(dim1=1, dim2=2))
    network = MLP((N + A, 4, N))
    theta = network.init(generator(), torch.float64)
    model, tangent = network.linearize(theta, INPUTS), draws()(*theta.shape)
    product = scaled.gauss_newton(phi, INPUTS, model)(tangent)
    rows = torch.einsum("bij,bj->bi", expected, model.jvp(tangent))
    assert_close(product, model.vjp(rows))


@pytest.mark.parametrize("form", [Diagonal(N, False, 4.0), Cholesky(N, False, 4.0)])
def test_bounds_hold_for_the_weights_of_what_was_clamped(form):
    raw = 9 * draws()(B, form.identity().numel())
    metric = UnconditionalMetric(form)
    weights = torch.stack([metric.weights(metric.clamp(phi), INPUTS) for phi in raw])
    assert_close(weights.min(), torch.tensor(0.25, dtype=torch.float64))
    assert_close(weights.max(), torch.tensor(4.0, dtype=torch.float64))
    assert_close(metric.clamp(metric.clamp(raw[0])), metric.clamp(raw[0]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", [Diagonal, Cholesky])
def test_a_bound_of_one_leaves_the_identity(kind, dtype):
    form = kind(3, False, 1.0)
    bounded = form.clamp(form.identity().to(dtype))
    torch.testing.assert_close(bounded, form.identity().to(dtype))


def test_a_bounded_row_of_a_cholesky_factor_keeps_its_direction():
    form, raw = Cholesky(3, False, 4.0), torch.tensor([1.0, 1.0, 1.0, 0.5, 3.0, 4.0]).double()
    clamped = form.clamp(raw)
    assert torch.equal(clamped[:4], raw[:4])  # the first two rows are within the bounds
    assert_close(clamped[5] / clamped[4], torch.tensor(4 / 3, dtype=torch.float64))
    assert_close(form.diagonal(clamped)[2], torch.tensor(4.0).double())


def test_a_bound_may_be_as_large_as_one_likes():
    raw = torch.tensor([-500.0, 0.0, 5e4], dtype=torch.float64)
    found = Diagonal(N, False, 1e4).diagonal(Diagonal(N, False, 1e4).clamp(raw))
    expected = torch.tensor([1e-4, math.log(2), 1e4], dtype=torch.float64)
    assert_close(found, expected, rtol=1e-6, atol=0)


@every_metric
def test_without_bounds_nothing_is_clamped(metric):
    phi = 50 * draw_metric(metric)
    assert torch.equal(metric.clamp(phi), phi)


def test_conditional_metric_depends_on_the_inputs_once_it_leaves_the_identity():
    metric = ConditionalMetric(Cholesky(N), MLP((N + A, 4, 6)))
    weights = metric.weights(draw_metric(metric), INPUTS)
    assert (weights.std(0) > 1e-3).all()


def test_solving_weighs_no_row_of_the_batch_and_builds_the_matrix_once(monkeypatch):
    """What a full metric costs: n² for each row of the last layer, and not for each sample."""
    built, weighed = [], []
    network, metric = MLP((N + A, 2, N)), UnconditionalMetric(Cholesky(N))
    product = Cholesky.product

    def counted(form, raw):
        built.append(raw)
        weigh = product(form, raw)
        return lambda rows: weighed.append(len(rows)) or weigh(rows)

    monkeypatch.setattr(Cholesky, "product", counted)
    theta = network.init(generator(), torch.float64)
    curved = metric.gauss_newton(draw_metric(metric), INPUTS, network.linearize(theta, INPUTS))
    for _ in range(3):
        curved(theta)
    assert len(built) == 1
    assert max(weighed) == 3 < B
