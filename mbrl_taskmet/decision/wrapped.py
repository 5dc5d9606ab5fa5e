"""What networks that put something around another one have in common."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mbrl_taskmet.networks import Linearization, Network


@dataclass(frozen=True)
class WrappedNetwork:
    """A network with the parameters of another.

    Attributes:
        network: the other.
    """

    network: Network

    @property
    def num_parameters(self) -> int:
        """P, those of the other."""
        return self.network.num_parameters

    def init(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
        """Draw the other's parameters."""
        return self.network.init(generator, dtype)

    def __call__(self, parameters: Tensor, inputs: Tensor) -> Tensor:
        """The outputs of its linearisation: (P,), (B, inputs) → (B, outputs)."""
        return self.linearize(parameters, inputs).outputs

    def linearize(self, parameters: Tensor, inputs: Tensor) -> Linearization:
        """Evaluate, ready for products with the Jacobian."""
        raise NotImplementedError
