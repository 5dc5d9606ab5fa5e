"""Every solver against a dense solve, and against what defines its iterates."""

import math

import numpy as np
import pytest
import torch

from cases import assert_close, draws, identity, parametrized
from mbrl_taskmet.linear_solvers import (
    ConjugateGradient,
    Exact,
    Identity,
    NeumannSeries,
    NormalEquationCG,
)

P = 6


def symmetric(*eigenvalues):
    basis, _ = torch.linalg.qr(draws(1)(P, P))
    return basis @ torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)) @ basis.T


DEFINITE = symmetric(0.3, 0.5, 0.9, 1.4, 2.0, 3.0)
INDEFINITE = symmetric(-2.0, -0.7, -0.4, 0.5, 1.1, 3.0)
RIGHT_HAND_SIDE = draws(2)(P)

every_solver = parametrized(
    "solver",
    {
        "cg": ConjugateGradient(3),
        "normal_equation_cg": NormalEquationCG(3),
        "neumann": NeumannSeries(7, 0.2),
        "identity": Identity(),
        "exact": Exact(),
    },
)


def krylov_basis(matrix, start, size):
    """An orthonormal basis of span{b, A b, …}."""
    powers = [start]
    for _ in range(size - 1):
        powers.append(matrix @ powers[-1])
    return torch.linalg.qr(torch.stack(powers, 1))[0]


@pytest.mark.parametrize(
    ("solver", "matrix"),
    [
        (ConjugateGradient(P), DEFINITE),
        (ConjugateGradient(5 * P), DEFINITE),
        (NormalEquationCG(P), DEFINITE),
        (NormalEquationCG(P), INDEFINITE),
        (NormalEquationCG(5 * P), INDEFINITE),
        (NeumannSeries(300, 0.5), DEFINITE),
        (Exact(), DEFINITE),
        (Exact(), INDEFINITE),
        (Identity(), identity(P)),
    ],
)
def test_solution_is_the_dense_one(solver, matrix):
    solution = solver(matrix.mv, RIGHT_HAND_SIDE)
    assert_close(solution.vector, torch.linalg.solve(matrix, RIGHT_HAND_SIDE))
    assert solution.relative_residual < 1e-10


@every_solver
@pytest.mark.parametrize("matrix", [DEFINITE, INDEFINITE], ids=["definite", "indefinite"])
def test_reported_residual_is_the_true_one(solver, matrix):
    vector, residual = solver(matrix.mv, RIGHT_HAND_SIDE)
    norm = torch.linalg.vector_norm
    assert_close(residual, norm(RIGHT_HAND_SIDE - matrix @ vector) / norm(RIGHT_HAND_SIDE))


@pytest.mark.parametrize("iterations", range(1, P))
def test_cg_minimises_the_energy_norm_of_the_error_over_the_krylov_space(iterations):
    basis = krylov_basis(DEFINITE, RIGHT_HAND_SIDE, iterations)
    best = basis @ torch.linalg.solve(basis.T @ DEFINITE @ basis, basis.T @ RIGHT_HAND_SIDE)
    assert_close(ConjugateGradient(iterations)(DEFINITE.mv, RIGHT_HAND_SIDE).vector, best)


@pytest.mark.parametrize("iterations", range(1, P))
def test_normal_equation_cg_minimises_the_residual_over_the_krylov_space(iterations):
    square, start = INDEFINITE @ INDEFINITE, INDEFINITE @ RIGHT_HAND_SIDE
    basis = krylov_basis(square, start, iterations)
    best = basis @ torch.linalg.lstsq(INDEFINITE @ basis, RIGHT_HAND_SIDE).solution
    assert_close(NormalEquationCG(iterations)(INDEFINITE.mv, RIGHT_HAND_SIDE).vector, best)


@pytest.mark.parametrize("iterations", [1, 4])
def test_neumann_series_is_the_sum_of_its_terms(iterations):
    step = identity(P) - 0.3 * DEFINITE
    powers = [torch.linalg.matrix_power(step, k) for k in range(iterations + 1)]
    expected = 0.3 * sum(powers) @ RIGHT_HAND_SIDE
    assert_close(NeumannSeries(iterations, 0.3)(DEFINITE.mv, RIGHT_HAND_SIDE).vector, expected)


def test_identity_returns_the_right_hand_side():
    assert_close(Identity()(DEFINITE.mv, RIGHT_HAND_SIDE).vector, RIGHT_HAND_SIDE)


@every_solver
def test_zero_right_hand_side_gives_zero(solver):
    zero = torch.zeros(P, dtype=torch.float64)
    vector, residual = solver(DEFINITE.mv, zero)
    assert torch.equal(vector, zero)
    assert residual == 0


@pytest.mark.parametrize("solver", [ConjugateGradient(50), NormalEquationCG(50)])
def test_iterations_after_convergence_change_nothing(solver):
    """An eigenvector is solved in one iteration; the others must not divide zero by zero."""
    matrix = torch.diag(torch.arange(1.0, P + 1, dtype=torch.float64))
    b = identity(P)[3]
    assert_close(solver(matrix.mv, b).vector, b / 4)


@every_solver
def test_solving_a_population_at_once_is_solving_one_by_one(solver):
    right_hand_sides = draws(3)(4, P)
    together = torch.func.vmap(lambda b: solver(DEFINITE.mv, b))(right_hand_sides)
    for index, b in enumerate(right_hand_sides):
        assert_close([part[index] for part in together], list(solver(DEFINITE.mv, b)))


@pytest.mark.parametrize("solver", [ConjugateGradient, NormalEquationCG, NeumannSeries])
@pytest.mark.parametrize("iterations", [0, -1, 5.0, True])
def test_no_iterations_and_parts_of_them_are_refused(solver, iterations):
    with pytest.raises(ValueError, match=f"iterations must be .*; got {iterations}"):
        solver(iterations)


@pytest.mark.parametrize("solver", [ConjugateGradient, NormalEquationCG, NeumannSeries])
def test_iterations_may_be_counted_by_numpy(solver):
    b = torch.ones(len(DEFINITE), dtype=torch.float64)
    assert_close(solver(np.int64(3))(DEFINITE.mv, b), solver(3)(DEFINITE.mv, b))


@pytest.mark.parametrize("step_size", [0.0, -1.0, math.nan, math.inf, "x"])
def test_step_size_that_is_not_positive_is_refused(step_size):
    with pytest.raises(ValueError, match="must be finite and positive"):
        NeumannSeries(step_size=step_size)
