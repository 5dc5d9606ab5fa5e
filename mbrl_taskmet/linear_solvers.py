"""Solvers of A u = b for a symmetric A that is known by its products A v.

All but `Exact` do a fixed number of steps and never look at a number to decide what to do
next, so that they compile into one graph and map over a population.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from mbrl_taskmet.arguments import is_count, is_real

MatVec = Callable[[Tensor], Tensor]


class Solution(NamedTuple):
    """What a solver found.

    Attributes:
        vector: u, shape (P,).
        relative_residual: ‖b − A u‖ / ‖b‖, a scalar.
    """

    vector: Tensor
    relative_residual: Tensor


class LinearSolver(Protocol):
    """Solves A u = b, exactly or nearly."""

    def __call__(self, matvec: MatVec, b: Tensor) -> Solution:
        """Find u from the products v ↦ A v and b, shape (P,)."""


@dataclass(frozen=True)
class ConjugateGradient:
    """Conjugate gradient from zero, for a positive definite A (Hestenes and Stiefel 1952).

    Few iterations regularise: they fit the directions of large curvature and leave the rest.

    Attributes:
        iterations: products with A.
    """

    iterations: int = 5

    def __post_init__(self) -> None:
        _check_iterations(self.iterations)

    def __call__(self, matvec: MatVec, b: Tensor) -> Solution:
        """Find u in the Krylov space of A and b that minimises uᵀAu/2 − bᵀu."""
        u, residual, direction = torch.zeros_like(b), b, b
        squared = residual @ residual
        for _ in range(self.iterations):
            product = matvec(direction)
            step = _ratio(squared, direction @ product)
            u = u + step * direction
            residual = residual - step * product
            previous, squared = squared, residual @ residual
            direction = residual + _ratio(squared, previous) * direction
        return Solution(u, _relative(residual, b))


@dataclass(frozen=True)
class NormalEquationCG:
    """Conjugate gradient on A² u = A b, for an A that may be indefinite (CGNR).

    What the paper uses with the full Hessian; the squared condition number makes it slow.

    Attributes:
        iterations: each costs two products with A.
    """

    iterations: int = 10

    def __post_init__(self) -> None:
        _check_iterations(self.iterations)

    def __call__(self, matvec: MatVec, b: Tensor) -> Solution:
        """Find u in the Krylov space of A² and A b that minimises ‖A u − b‖."""
        u, residual = torch.zeros_like(b), b
        gradient = matvec(residual)
        direction, squared = gradient, gradient @ gradient
        for iteration in range(self.iterations):
            product = matvec(direction)
            step = _ratio(squared, product @ product)
            u = u + step * direction
            residual = residual - step * product
            if iteration < self.iterations - 1:
                gradient = matvec(residual)
                previous, squared = squared, gradient @ gradient
                direction = gradient + _ratio(squared, previous) * direction
        return Solution(u, _relative(residual, b))


@dataclass(frozen=True)
class NeumannSeries:
    """u = η Σ_k (I − η A)ᵏ b, which converges if 0 < η A < 2 I.

    Attributes:
        iterations: terms beyond the first.
        step_size: η.
    """

    iterations: int = 10
    step_size: float = 1e-2

    def __post_init__(self) -> None:
        _check_iterations(self.iterations)
        if not is_real(self.step_size) or not 0 < self.step_size < math.inf:
            raise ValueError(f"The step size must be finite and positive; got {self.step_size!r}.")

    def __call__(self, matvec: MatVec, b: Tensor) -> Solution:
        """Sum the series."""
        term = total = b
        for _ in range(self.iterations):
            term = term - self.step_size * matvec(term)
            total = total + term
        # (I − η A)ᵏ⁺¹ b is what is left of b.
        residual = term - self.step_size * matvec(term)
        return Solution(self.step_size * total, _relative(residual, b))


@dataclass(frozen=True)
class Identity:
    """u = b: the curvature taken for the identity."""

    def __call__(self, matvec: MatVec, b: Tensor) -> Solution:
        """Return b; one product tells how far from a solution it is."""
        return Solution(b, _relative(b - matvec(b), b))


@dataclass(frozen=True)
class Exact:
    """The dense solution, from P products: for tests and small problems."""

    def __call__(self, matvec: MatVec, b: Tensor) -> Solution:
        """Form A and solve."""
        identity = torch.eye(b.shape[-1], dtype=b.dtype, device=b.device)
        matrix: Tensor = torch.func.vmap(matvec)(identity)
        u = torch.linalg.solve(matrix, b)
        return Solution(u, _relative(b - matvec(u), b))


def _check_iterations(iterations: int) -> None:
    if not is_count(iterations):
        raise ValueError(
            f"A solver's iterations must be a positive whole number; got {iterations!r}."
        )


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Numerator / denominator, and 0 where a solver has converged and both vanish."""
    vanished = denominator == 0
    return torch.where(vanished, 0, numerator / torch.where(vanished, 1, denominator))


def _relative(residual: Tensor, b: Tensor) -> Tensor:
    return _ratio(torch.linalg.vector_norm(residual), torch.linalg.vector_norm(b))
