"""What a task with a decision is: data to predict from, a decision to take, an objective."""

from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

Sense = Literal["maximize", "minimize"]

Range = tuple[float, float]
"""The lowest and the highest that something can be."""

TaskLoss = Callable[[Tensor, "Data"], Tensor]
"""Of predictions, (B, I, T), on data: a scalar to be lowered."""


class Data(NamedTuple):
    """Instances of a task, each with several items to be predicted.

    Attributes:
        features: x, shape (B, I, F) for B instances of I items.
        targets: y, what is to be predicted of each item, shape (B, I, T).
        aux: what else the decision depends on and is known, shape (B, …); (B, 0) for nothing.
    """

    features: Tensor
    targets: Tensor
    aux: Tensor

    def part(self, rows: slice) -> "Data":
        """Some of the instances."""
        return Data(*(tensor[rows] for tensor in self))


class Split(NamedTuple):
    """Data to train on, to choose by and to report on."""

    train: Data
    validation: Data
    test: Data


class Problem(Protocol):
    """Predict y, decide z as if the prediction were true, be paid f(y, z) for the truth."""

    @property
    def sense(self) -> Sense:
        """Whether the objective is to be high or low."""

    @property
    def target_range(self) -> Range | None:
        """What y can be, and predictions of it with all methods; None for any number."""

    def split(self) -> Split:
        """The data, the same at every call."""

    def decision(self, y_hat: Tensor, aux: Tensor, *, relaxed: bool = False) -> Tensor:
        """z*(ŷ), the best decision if ŷ were the truth: (B, I, T), (B, …) → (B, …).

        Relaxed, a decision that changes smoothly with ŷ and can be differentiated.
        """

    def objective(self, y: Tensor, z: Tensor, aux: Tensor) -> Tensor:
        """f(y, z), what a decision is worth: (B, I, T), (B, …), (B, …) → (B,)."""


def loss_of(problem: Problem, *, relaxed: bool = True) -> TaskLoss:
    """The task loss L(ŷ) = mean_B[∓f(y, z*(ŷ))], minus for an objective that is to be high.

    It refuses, with a ValueError, a relaxed decision through which no gradient comes.
    """
    sign = sign_of(problem.sense)

    def loss(y_hat: Tensor, data: Data) -> Tensor:
        value = -sign * worth_of(problem, y_hat, data, relaxed=relaxed).mean()
        if relaxed and y_hat.requires_grad:
            check_smooth(value)
        return value

    return loss


def worth_of(problem: Problem, y_hat: Tensor, data: Data, *, relaxed: bool = False) -> Tensor:
    """f(y, z*(ŷ)), what deciding by predictions is worth in each instance: (B, I, T) → (B,).

    Raises:
        ValueError: if the objective is not a number for each instance.
    """
    z = problem.decision(y_hat, data.aux, relaxed=relaxed)
    worth = problem.objective(data.targets, z, data.aux)
    if worth.shape != y_hat.shape[:1]:
        raise ValueError(
            f"The objective must be a number for each of the {len(y_hat)} instances; got shape "
            f"{tuple(worth.shape)}: let decision and objective keep the instances apart, and sum "
            "over all else."
        )
    return worth


def check_smooth(loss: Tensor) -> None:
    """Refuse a loss through which no gradient comes.

    Raises:
        ValueError: if it does not depend on predictions that require one.
    """
    if not loss.requires_grad:
        raise ValueError(
            "The loss cannot be differentiated in the predictions: let it decide smoothly, as "
            "simplex_qp, soft_top_k and soft_choice do."
        )


def sign_of(sense: Sense) -> float:
    """1 for an objective that is to be high, −1 for one that is to be low.

    Raises:
        ValueError: if the sense is neither.
    """
    if sense not in ("maximize", "minimize"):
        raise ValueError(f"The sense of a problem must be 'maximize' or 'minimize'; got {sense!r}.")
    return 1.0 if sense == "maximize" else -1.0


def check_data(data: Data) -> None:
    """Refuse data whose parts do not belong together, or that are no numbers.

    Raises:
        ValueError: if they are not instances of items, each with finite features and targets.
    """
    x, y, aux = data
    if x.dim() != 3 or y.dim() != 3 or x.shape[:2] != y.shape[:2] or len(aux) != len(x):
        raise ValueError(
            "Data need features (B, I, F), targets (B, I, T) and aux (B, …) for B instances of I "
            f"items; got {tuple(x.shape)}, {tuple(y.shape)} and {tuple(aux.shape)}."
        )
    check_finite(features=x, targets=y, aux=aux)


def check_finite(**data: Tensor) -> None:
    """Refuse data that are not finite.

    Args:
        **data: by the names to report.

    Raises:
        ValueError: if some are not.
    """
    for name, tensor in data.items():
        if not tensor.isfinite().all():
            raise ValueError(f"The {name} must be finite: leave out or fill in what is missing.")


def nothing(num_instances: int) -> Tensor:
    """The `aux` of a task whose decision depends on predictions alone, shape (B, 0)."""
    return torch.zeros(num_instances, 0)
