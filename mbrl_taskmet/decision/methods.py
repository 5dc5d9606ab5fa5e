"""Ways to train the predictor of a problem by descent: on its errors, or on its decisions."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from mbrl_taskmet.decision.fitting import Descent, Fit, Fitted
from mbrl_taskmet.decision.problem import Data, Problem, TaskLoss, check_data, loss_of
from mbrl_taskmet.networks import Network


class Method(Protocol):
    """A way to train the network of an item on a problem."""

    def fit(
        self,
        problem: Problem,
        network: Network,
        train: Data,
        validation: Data,
        generator: torch.Generator,
    ) -> Fitted:
        """Train, and keep what the validation data choose by the method's own loss.

        Args:
            problem: what the predictions are for.
            network: of an item, (·, F) → (·, T).
            train: the data to train on.
            validation: the data to choose by.
            generator: of everything random.
        """


@dataclass(frozen=True, kw_only=True)
class MSE:
    """The mean squared error of all targets alike; training does not ask the task.

    Attributes:
        descent: on it.
        chosen_by: what chooses on the validation data, the same error or the task loss of relaxed
            decisions. With the latter this is what a learned metric has to beat: TaskMet chooses by
            decisions too, and that alone is worth something.
    """

    descent: Descent = field(default_factory=Descent)
    chosen_by: Literal["error", "decisions"] = "error"

    def __post_init__(self) -> None:
        if self.chosen_by not in ("error", "decisions"):
            raise ValueError(
                f"Parameters are chosen by 'error' or 'decisions'; got {self.chosen_by!r}."
            )

    def fit(
        self,
        problem: Problem,
        network: Network,
        train: Data,
        validation: Data,
        generator: torch.Generator,
    ) -> Fit:
        """Descend on mean[(ŷ − y)²]."""
        chooses = loss_of(problem) if self.chosen_by == "decisions" else None
        return descend(self.descent, network, train, validation, squared_error, generator, chooses)


@dataclass(frozen=True, kw_only=True)
class DFL:
    """Decision-focused learning: L_task(ŷ) + α MSE, through the relaxed decision.

    Attributes:
        alpha: α, the weight of the mean squared error.
        descent: on the sum.
    """

    alpha: float = 0.0
    descent: Descent = field(default_factory=Descent)

    def __post_init__(self) -> None:
        check_alpha(self.alpha)

    def fit(
        self,
        problem: Problem,
        network: Network,
        train: Data,
        validation: Data,
        generator: torch.Generator,
    ) -> Fit:
        """Descend on what the decisions cost."""
        loss = regularized(loss_of(problem), self.alpha)
        return descend(self.descent, network, train, validation, loss, generator)


def descend(
    descent: Descent,
    network: Network,
    train: Data,
    validation: Data,
    loss: TaskLoss,
    generator: torch.Generator,
    validation_loss: TaskLoss | None = None,
) -> Fit:
    """Descend on a loss of all predictions, from parameters that are drawn first.

    Args:
        descent: how.
        network: of an item.
        train: the data to train on.
        validation: the data to choose by.
        loss: of predictions, (B, I, T), on the training data.
        generator: of the initial parameters.
        validation_loss: of predictions on the validation data, if it is another.
    """
    check_data(train)
    check_data(validation)
    chooses = validation_loss or loss

    def validate(parameters: Tensor) -> float:
        with torch.no_grad():
            return chooses(predict(network, parameters, validation), validation).item()

    return descent(
        network,
        train.features.flatten(0, 1),
        lambda outputs: loss(_by_item(outputs, train), train),
        validate,
        network.init(generator, train.features.dtype),
    )


def predict(network: Network, parameters: Tensor, data: Data) -> Tensor:
    """ŷ of every item of every instance, shape (B, I, T).

    Raises:
        ValueError: if the network has another number of outputs than an item has targets.
    """
    return _by_item(network(parameters, data.features.flatten(0, 1)), data)


def _by_item(outputs: Tensor, data: Data) -> Tensor:
    """A network's outputs, (B · I, T), in the shape of the targets."""
    if outputs.shape[-1] != data.targets.shape[-1]:
        raise ValueError(
            f"The network has {outputs.shape[-1]} outputs, and an item {data.targets.shape[-1]} "
            "targets: give it as many."
        )
    return outputs.view_as(data.targets)


def squared_error(y_hat: Tensor, data: Data) -> Tensor:
    """mean[(ŷ − y)²] over instances, items and targets."""
    return mse_loss(y_hat, data.targets)


def regularized(loss: TaskLoss, alpha: float) -> Callable[[Tensor, Data], Tensor]:
    """The loss plus α times the mean squared error."""
    if alpha == 0:
        return loss
    return lambda y_hat, data: loss(y_hat, data) + alpha * squared_error(y_hat, data)


def check_alpha(alpha: float) -> None:
    """Refuse a reward for errors.

    Raises:
        ValueError: if α is negative.
    """
    if not alpha >= 0:
        raise ValueError(
            f"alpha, the weight of the mean squared error, must be 0 or more; got {alpha}."
        )
