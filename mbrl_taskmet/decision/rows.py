"""What one error is to the metric: that of an item, or those of all items of an instance."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from mbrl_taskmet.decision.wrapped import WrappedNetwork
from mbrl_taskmet.networks import JacobianProducts, Linearization, Network


class Scope(Protocol):
    """How instances of items become rows of a prediction problem, and which network maps them."""

    def rows(self, items: Tensor) -> Tensor:
        """Features or targets by row: (B, I, X) → (rows, row size)."""

    def network(self, network: Network, num_items: int) -> Network:
        """The network of an item, (·, F) → (·, T), as one of rows, with the same parameters."""


@dataclass(frozen=True)
class PerItem:
    """A row for each item: the metric weighs the errors of its T targets."""

    def rows(self, items: Tensor) -> Tensor:
        """(B, I, X) → (B I, X)."""
        return items.flatten(0, 1)

    def network(self, network: Network, num_items: int) -> Network:
        """The network as it is."""
        return network


@dataclass(frozen=True)
class OverItems:
    """A row for each instance: the metric weighs the errors of all items' targets together."""

    def rows(self, items: Tensor) -> Tensor:
        """(B, I, X) → (B, I X)."""
        return items.flatten(1)

    def network(self, network: Network, num_items: int) -> Network:
        """The network applied to each item in turn."""
        return SharedNetwork(network, num_items)


@dataclass(frozen=True)
class SharedNetwork(WrappedNetwork):
    """One network for all items of a row: (B, I F) → (B, I T).

    Attributes:
        network: of an item.
        num_items: I.
    """

    num_items: int

    def linearize(self, parameters: Tensor, inputs: Tensor) -> "SharedLinearization":
        """Evaluate at all items of all rows."""
        items = inputs.reshape(len(inputs) * self.num_items, -1)
        return SharedLinearization(self.network.linearize(parameters, items), len(inputs))


class SharedLinearization(JacobianProducts):
    """The linearisation of a `SharedNetwork`: that of the one network, folded into rows."""

    def __init__(self, items: Linearization, num_rows: int) -> None:
        self._items = items
        self._num_rows = num_rows
        self.outputs = self._fold(items.outputs)

    def _fold(self, items: Tensor) -> Tensor:
        return items.reshape(self._num_rows, -1)

    def _unfold(self, rows: Tensor) -> Tensor:
        return rows.reshape(len(self._items.outputs), -1)

    def jvp(self, tangent: Tensor) -> Tensor:
        """J u: (P,) → (B, I T)."""
        return self._fold(self._items.jvp(tangent))

    def vjp(self, cotangent: Tensor) -> Tensor:
        """Jᵀ c: (B, I T) → (P,)."""
        return self._items.vjp(self._unfold(cotangent))

    def curvature_vjp(self, tangent: Tensor, cotangent: Tensor) -> Tensor:
        """∇_θ⟨c, J(θ) u⟩: (P,), (B, I T) → (P,)."""
        return self._items.curvature_vjp(tangent, self._unfold(cotangent))
