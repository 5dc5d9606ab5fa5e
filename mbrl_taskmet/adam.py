"""The optimiser of all levels, as a pure function."""

from typing import NamedTuple

import torch
from torch import Tensor


class AdamState(NamedTuple):
    """Adam's running moments of the gradient, and the number of steps taken."""

    first_moment: Tensor
    second_moment: Tensor
    steps: Tensor


def adam_init(parameters: Tensor) -> AdamState:
    """Moments of zero, of the shape of the parameters."""
    zeros = torch.zeros_like(parameters)
    return AdamState(zeros, zeros.clone(), parameters.new_zeros(()))


def adam_step(
    parameters: Tensor,
    gradient: Tensor,
    state: AdamState,
    learning_rate: float | Tensor,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> tuple[Tensor, AdamState]:
    """One step of Adam (Kingma and Ba 2015, arXiv 1412.6980, algorithm 1).

    Args:
        parameters: any shape.
        gradient: of the loss to be lowered, the parameters' shape.
        state: the moments so far.
        learning_rate: step size, a number or a scalar.
        beta1: decay of the first moment.
        beta2: decay of the second moment.
        eps: added to the root of the second moment.

    Returns:
        The new parameters and the new moments.
    """
    steps = state.steps + 1
    first = torch.lerp(state.first_moment, gradient, 1 - beta1)
    second = torch.lerp(state.second_moment, gradient * gradient, 1 - beta2)
    unbiased_first = first / (1 - beta1**steps)
    unbiased_second = second / (1 - beta2**steps)
    change = learning_rate * unbiased_first / (unbiased_second.sqrt() + eps)
    return parameters - change, AdamState(first, second, steps)
