"""How good predictions are, by the decisions that they lead to."""

from typing import NamedTuple

import torch
from torch import Tensor

from mbrl_taskmet.decision.problem import Data, Problem, sign_of, worth_of

RANDOM_DRAWS = 30
"""Random predictions for each instance, whose decisions set the zero of the scale."""

RANDOM_SEED = 5_318_008
"""Of the random predictions; no data's and no training's, whose draws they would repeat."""


class Yardstick(NamedTuple):
    """Mean objectives between which decision quality is measured.

    Attributes:
        random: of the decisions for predictions that are uniform on (0, 1), as the
            published numbers have it (LODL, arXiv 2203.16067).
        oracle: of the decisions for the truth.
    """

    random: float
    oracle: float


class Quality(NamedTuple):
    """What predictions are worth on some data.

    Attributes:
        decision_quality: 0 for random decisions, 1 for the oracle's; below 0 if worse than random.
        regret: mean objective lost against the oracle, in the objective's units; not negative by
            the yardstick of the same data.
        mse: mean squared error of the predictions.
    """

    decision_quality: float
    regret: float
    mse: float


def normalized_decision_quality(objective: float, yardstick: Yardstick) -> float:
    """(f − f_random) / (f_oracle − f_random), for either sense of the objective.

    >>> normalized_decision_quality(3.0, Yardstick(random=2.0, oracle=4.0))
    0.5
    >>> normalized_decision_quality(3.0, Yardstick(random=2.0, oracle=1.0))
    -1.0

    Raises:
        ValueError: if random decisions are as good as the oracle's.
    """
    if yardstick.oracle == yardstick.random:
        raise ValueError(
            "Random decisions are as good as the oracle's, so that there is no scale: look at the "
            "regret, or choose data on which decisions matter."
        )
    return (objective - yardstick.random) / (yardstick.oracle - yardstick.random)


def measure(problem: Problem, data: Data, seed: int = RANDOM_SEED) -> Yardstick:
    """The yardstick of some data, with random predictions of a seed of their own."""
    generator = torch.Generator().manual_seed(seed)
    shape = (RANDOM_DRAWS, *data.targets.shape)
    drawn = torch.rand(shape, generator=generator, dtype=data.targets.dtype)
    random = sum(_taken(problem, y_hat, data) for y_hat in drawn) / RANDOM_DRAWS
    return Yardstick(random, _taken(problem, data.targets, data))


def evaluate(
    problem: Problem, y_hat: Tensor, data: Data, yardstick: Yardstick | None = None
) -> Quality:
    """Decide by predictions, with hard decisions, and compare with what is best.

    Args:
        problem: whose decisions are taken.
        y_hat: predictions, shape (B, I, T).
        data: the truth.
        yardstick: of the data, measured if not given.

    Raises:
        ValueError: if the predictions are not of the targets' shape, or not finite.
    """
    if y_hat.shape != data.targets.shape:
        raise ValueError(
            f"Predictions must have the targets' shape {tuple(data.targets.shape)}; "
            f"got {tuple(y_hat.shape)}."
        )
    if not y_hat.isfinite().all():
        raise ValueError("Predictions must be finite: lower the learning rate.")
    yardstick = yardstick or measure(problem, data)
    objective = _taken(problem, y_hat, data)
    return Quality(
        normalized_decision_quality(objective, yardstick),
        sign_of(problem.sense) * (yardstick.oracle - objective),
        (y_hat - data.targets).square().mean().item(),
    )


def _taken(problem: Problem, y_hat: Tensor, data: Data) -> float:
    """The mean objective of hard decisions."""
    with torch.no_grad():
        return worth_of(problem, y_hat, data).mean().item()


def constant_prediction(train: Data, data: Data) -> Tensor:
    """The training targets' mean for each item, whatever its features: the data's shape."""
    return train.targets.mean(0).expand_as(data.targets)
