"""What all critics share, whatever their actions: several of one shape, and a temperature."""

import torch
from torch import Tensor

from ..mlp import MLP


class Ensemble:
    """Critics with a network each, drawn apart.

    Attributes:
        network: of each critic.
        temperature: α, in units of reward.
        num_critics: J.

    Raises:
        ValueError: if the temperature or the number of critics is not positive.
    """

    network: MLP
    temperature: float
    num_critics: int

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ValueError(f"The temperature must be positive; got {self.temperature}.")
        if self.num_critics < 1:
            raise ValueError(f"There must be at least one critic; got {self.num_critics}.")

    def init(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
        """Draw ω, shape (J, P)."""
        return torch.stack([self.network.init(generator, dtype) for _ in range(self.num_critics)])


def share_of_lowest(values: Tensor) -> Tensor:
    """∂ min_j Q_j / ∂Q_j: one for the lowest, shared where several agree, as in `torch.amin`.

    (J, …) → (J, …).
    """
    is_lowest = (values == values.amin(0)).to(values.dtype)
    return is_lowest / is_lowest.sum(0)
