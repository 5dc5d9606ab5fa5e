"""Time of a batch of quadratic programmes, forward and backward, beside cvxpylayers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from ..decision.simplex_qp import simplex_qp
from .measure import interleaved

COLUMNS = ("stocks", "batch", "solver", "cpu_ms", "wall_ms")

Programme = Callable[[Tensor], Tensor]
"""Of linear terms p, (B, n): the decisions z, (B, n)."""


@dataclass(frozen=True)
class DecisionBenchmark:
    """What is timed: 200 days of Portfolio, in double precision.

    Attributes:
        stocks: each n.
        batch: programmes that are solved as one.
        rounds: calls of each solver.
    """

    stocks: Sequence[int] = (20, 50)
    batch: int = 200
    rounds: int = 10

    def run(self) -> Iterator[dict[str, Any]]:
        """A row for each n and solver."""
        torch.set_num_threads(1)
        for n in self.stocks:
            p, Q = self.programmes(n)
            solvers: dict[str, Programme] = {
                "simplex_qp": partial(simplex_qp, quadratic=Q),
                "cvxpylayers": cvxpylayer(Q),
            }
            calls = {name: _there_and_back(solver, p) for name, solver in solvers.items()}
            for name, timing in interleaved(calls, rounds=self.rounds).items():
                yield {
                    "stocks": n,
                    "batch": self.batch,
                    "solver": name,
                    "cpu_ms": round(1e3 * timing.cpu, 1),
                    "wall_ms": round(1e3 * timing.wall, 1),
                }

    def programmes(self, n: int) -> tuple[Tensor, Tensor]:
        """Returns p of a daily size, and 0.2 times the correlation of nine days plus 0.1 I."""
        generator = torch.Generator().manual_seed(0)
        draw = torch.randn(self.batch, 10, n, generator=generator, dtype=torch.float64)
        days = draw[:, 1:] - draw[:, 1:].mean(1, keepdim=True)
        days = days / torch.linalg.vector_norm(days, dim=1, keepdim=True)
        identity = torch.eye(n, dtype=torch.float64)
        return 0.02 * draw[:, 0], 0.2 * (days.mT @ days + 0.1 * identity)


def cvxpylayer(Q: Tensor) -> Programme:
    """The same programme by cvxpylayers, from Cholesky factors that it does not pay for.

    Raises:
        ImportError: if it is not installed.
    """
    try:
        # By name, since neither has types.
        cvxpy, layers = import_module("cvxpy"), import_module("cvxpylayers.torch")
    except ImportError as error:
        raise ImportError(
            "This benchmark compares with another package: pip install 'mbrl-taskmet[cvxpylayers]'"
        ) from error
    n = Q.shape[-1]
    z, linear, root = cvxpy.Variable(n), cvxpy.Parameter(n), cvxpy.Parameter((n, n))
    objective = cvxpy.Maximize(linear @ z - cvxpy.sum_squares(root.T @ z) / 2)
    programme = cvxpy.Problem(objective, [z >= 0, cvxpy.sum(z) == 1])
    layer = layers.CvxpyLayer(programme, parameters=[linear, root], variables=[z])
    factor = torch.linalg.cholesky(Q)

    def solve(p: Tensor) -> Tensor:
        (found,) = layer(p, factor)
        solution: Tensor = found
        return solution

    return solve


def _there_and_back(solver: Programme, p: Tensor) -> Callable[[], Tensor]:
    linear = p.clone().requires_grad_()

    def call() -> Tensor:
        (gradient,) = torch.autograd.grad(solver(linear).square().sum(), linear)
        return gradient

    return call
