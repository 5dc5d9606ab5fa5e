"""The optimiser of all levels: pure steps, whose moments are passed in and returned."""

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba 2015, arXiv 1412.6980, algorithm 1).

    Attributes:
        learning_rate: step size.
        restart: whether a step forgets the moments before it, and so moves each parameter by the
            rate itself, against the sign of its gradient.
        beta1: decay of the first moment.
        beta2: decay of the second moment.
        eps: added to the root of the second moment.
    """

    learning_rate: float = 1e-3
    restart: bool = False
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def step(
        self,
        parameters: Tensor,
        gradient: Tensor,
        state: AdamState,
        annealing: float | Tensor = 1.0,
    ) -> tuple[Tensor, AdamState]:
        """One step.

        Args:
            parameters: any shape.
            gradient: of the loss to be lowered, the parameters' shape.
            state: the moments so far.
            annealing: share of the rate that is in force, a number or a scalar.

        Returns:
            The new parameters and the new moments.
        """
        if self.restart:
            state = adam_init(parameters)
        steps = state.steps + 1
        first = torch.lerp(state.first_moment, gradient, 1 - self.beta1)
        second = torch.lerp(state.second_moment, gradient * gradient, 1 - self.beta2)
        unbiased_first = first / (1 - self.beta1**steps)
        unbiased_second = second / (1 - self.beta2**steps)
        rate = self.learning_rate * annealing
        change = rate * unbiased_first / (unbiased_second.sqrt() + self.eps)
        return parameters - change, AdamState(first, second, steps)
