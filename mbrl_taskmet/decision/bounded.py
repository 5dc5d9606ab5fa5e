"""A network whose outputs stay within a range, such as that of a probability."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mbrl_taskmet.decision.problem import Problem, Range
from mbrl_taskmet.decision.wrapped import WrappedNetwork
from mbrl_taskmet.networks import JacobianProducts, Linearization, Network

NEAREST = 1e-4
"""To a bound, in units of the range, that predictions start at most: a logit of ±9."""


def within_range(network: Network, problem: Problem, targets: Tensor) -> Network:
    """The network as it is if the problem's targets have no range, else `Bounded` by it.

    Args:
        network: of an item, whose outputs are any numbers.
        problem: whose targets it predicts.
        targets: to train on; their mean is where predictions start.

    Raises:
        ValueError: if targets lie outside of the problem's range.
    """
    if problem.target_range is None:
        return network
    low, high = problem.target_range
    if not (low <= targets.min() and targets.max() <= high):
        raise ValueError(
            f"Targets must lie in the problem's target_range, from {low} to {high}; they go from "
            f"{targets.min():.4g} to {targets.max():.4g}: widen the range, or let it be None."
        )
    share = (targets.mean().item() - low) / (high - low)
    return Bounded(network, problem.target_range, min(max(share, NEAREST), 1 - NEAREST))


@dataclass(frozen=True)
class Bounded(WrappedNetwork):
    """low + (high − low) σ(f(θ, x) + logit(start)): another network under a logistic last step.

    An output of zero is the start of predictions. Rare events would otherwise begin at one in two,
    and most of the training would be spent on coming down from there.

    Attributes:
        network: f.
        bounds: low and high.
        start: where predictions begin, as a share of the range, between 0 and 1.
    """

    bounds: Range
    start: float = 0.5

    def __post_init__(self) -> None:
        low, high = self.bounds
        if not low < high or not 0 < self.start < 1:
            raise ValueError(
                "A range needs a low below its high, and a start between 0 and 1 of it; got "
                f"{self.bounds} and {self.start}."
            )

    def linearize(self, parameters: Tensor, inputs: Tensor) -> "BoundedLinearization":
        """Evaluate the network, and the logistic function above it."""
        return BoundedLinearization(self.network.linearize(parameters, inputs), self)


class BoundedLinearization(JacobianProducts):
    """The linearisation of a `Bounded` network: J = diag(g′) J_f for g the logistic last step."""

    def __init__(self, below: Linearization, network: Bounded) -> None:
        low, high = network.bounds
        share = torch.sigmoid(below.outputs + math.log(network.start / (1 - network.start)))
        self._below = below
        self._slope = (high - low) * share * (1 - share)
        self._bend = self._slope * (1 - 2 * share)
        self.outputs = low + (high - low) * share

    def jvp(self, tangent: Tensor) -> Tensor:
        """J u: (P,) → (B, outputs)."""
        return self._slope * self._below.jvp(tangent)

    def vjp(self, cotangent: Tensor) -> Tensor:
        """Jᵀ c: (B, outputs) → (P,)."""
        return self._below.vjp(self._slope * cotangent)

    def curvature_vjp(self, tangent: Tensor, cotangent: Tensor) -> Tensor:
        """∇_θ⟨c, J(θ) u⟩ = ∇_θ⟨g′ c, J_f(θ) u⟩ + J_fᵀ(g″ c ∘ J_f u): (P,), (B, n) → (P,)."""
        below = self._below.curvature_vjp(tangent, self._slope * cotangent)
        return below + self._below.vjp(self._bend * cotangent * self._below.jvp(tangent))
