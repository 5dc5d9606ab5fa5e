"""The published tasks by name, and how each method is set for them.

The settings were chosen on data and model seeds from 100 up. Portfolio has one set of days only, so
that its settings were chosen on the days that are reported.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mbrl_taskmet.decision.budget import REGIMES, Budget
from mbrl_taskmet.decision.cubic import Cubic
from mbrl_taskmet.decision.fitting import AdamFit, ClosedForm, Descent
from mbrl_taskmet.decision.lodl import LODL, Family
from mbrl_taskmet.decision.methods import DFL, MSE, Method, predict
from mbrl_taskmet.decision.portfolio import Portfolio
from mbrl_taskmet.decision.prices import PRICES
from mbrl_taskmet.decision.problem import Problem, Split
from mbrl_taskmet.decision.quality import constant_prediction
from mbrl_taskmet.decision.taskmet import NoHypergradient, TaskMet
from mbrl_taskmet.hypergradient import ImplicitGradient
from mbrl_taskmet.linear_solvers import ConjugateGradient, Exact
from mbrl_taskmet.mlp import MLP
from mbrl_taskmet.networks import Network

Predictor = Callable[[Problem, Network, Split, torch.Generator], Tensor]
"""Predictions for the test data: a method that trains the network, or what needs no training."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A task, and what is set alike or apart for the methods on it.

    Attributes:
        regimes: kinds of data that it has.
        problem: with the data of a regime and of a seed.
        network: predicts an item, within the range of the problem's targets if they have one.
        descent: of MSE and LODL.
        decision_descent: of DFL, whose loss is less smooth.
        lodl_samples: of each instance.
        taskmet: with its metric.
    """

    regimes: tuple[str, ...]
    problem: Callable[[str, int], Problem]
    network: MLP
    descent: Descent
    decision_descent: Descent
    lodl_samples: int
    taskmet: TaskMet


SETUPS: Mapping[str, Setup] = {
    "cubic": Setup(
        regimes=("published",),
        problem=lambda regime, seed: Cubic(seed),
        network=MLP((1, 1)),
        descent=Descent(1e-2, 2_000),
        decision_descent=Descent(1e-2, 2_000),
        lodl_samples=200,
        taskmet=TaskMet(
            inner=ClosedForm(),
            hypergradient=ImplicitGradient(Exact(), damping=0.0),
            steps=150,
            patience=150,
            chosen_by="taken",
        ),
    ),
    "budget": Setup(
        regimes=tuple(REGIMES),
        problem=lambda regime, seed: Budget(seed, regime),
        network=MLP((10, 500, 10)),
        descent=Descent(1e-3, 2_000),
        decision_descent=Descent(1e-4, 5_000),
        lodl_samples=100,
        # A metric with a weight for each user decides no better and errs more. Few first fits,
        # since more overfit the noisy regimes; little damping, since the slope of rare rates in the
        # network's outputs, which the curvature holds squared, is that small. The system is then
        # so ill-conditioned that ten iterations can point the other way.
        taskmet=TaskMet(
            form="scalar",
            inner=AdamFit(10),
            hypergradient=ImplicitGradient(ConjugateGradient(100), damping=1e-5),
            first_steps=5,
            steps=100,
            patience=100,
        ),
    ),
    "portfolio": Setup(
        regimes=tuple(PRICES),
        problem=lambda regime, seed: Portfolio(regime),
        network=MLP((28, 500, 1)),
        descent=Descent(1e-2, 600, check_every=10, patience=20),
        decision_descent=Descent(1e-2, 600, check_every=10, patience=20),
        lodl_samples=50,
        taskmet=TaskMet(
            inner=AdamFit(10, 1e-2),
            hypergradient=ImplicitGradient(ConjugateGradient(10), damping=1e-2),
            first_steps=50,
            steps=40,
        ),
    ),
}
"""The tasks. Portfolio has the one set of consecutive days for each set of prices, whatever the
seed of the data."""


def trained(method: Callable[[Setup, float], Method]) -> Callable[[Setup, float], Predictor]:
    """The predictor that a method trains."""

    def make(setup: Setup, alpha: float) -> Predictor:
        chosen = method(setup, alpha)

        def test_predictions(
            problem: Problem, network: Network, data: Split, generator: torch.Generator
        ) -> Tensor:
            fit = chosen.fit(problem, network, data.train, data.validation, generator)
            return predict(network, fit.parameters, data.test)

        return test_predictions

    return make


def _lodl(family: Family) -> Callable[[Setup, float], Method]:
    return lambda setup, alpha: LODL(
        alpha=alpha, family=family, num_samples=setup.lodl_samples, descent=setup.descent
    )


def _constant(
    problem: Problem, network: Network, data: Split, generator: torch.Generator
) -> Tensor:
    return constant_prediction(data.train, data.test)


def _random(problem: Problem, network: Network, data: Split, generator: torch.Generator) -> Tensor:
    return torch.rand(data.test.targets.shape, generator=generator)


def _untrained(predictor: Predictor) -> Callable[[Setup, float], Predictor]:
    return lambda setup, alpha: predictor


METHODS: Mapping[str, Callable[[Setup, float], Predictor]] = {
    "mse": trained(lambda setup, alpha: MSE(descent=setup.descent)),
    "mse_by_task": trained(lambda setup, alpha: MSE(descent=setup.descent, chosen_by="decisions")),
    "dfl": trained(lambda setup, alpha: DFL(alpha=alpha, descent=setup.decision_descent)),
    "lodl": trained(_lodl("weighted_mse")),
    "lodl_directed": trained(_lodl("directed")),
    "lodl_quadratic": trained(_lodl("quadratic")),
    "taskmet": trained(lambda setup, alpha: setup.taskmet),
    "taskmet_frozen": trained(
        lambda setup, alpha: replace(setup.taskmet, hypergradient=NoHypergradient())
    ),
    "constant": _untrained(_constant),
    "random": _untrained(_random),
}
"""The methods by name: the published ones, and what they are to be compared with."""

WITH_ALPHA = frozenset({"dfl", "lodl", "lodl_directed", "lodl_quadratic"})
"""The methods that add α times the mean squared error to their loss."""
