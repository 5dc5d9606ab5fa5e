"""Cubic: a linear model of a cubic, from which the best of fifty items is chosen."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from mbrl_taskmet.decision.problem import Data, Sense, Split, nothing
from mbrl_taskmet.decision.streams import stream
from mbrl_taskmet.decision.top_k import soft_top_k


@dataclass(frozen=True)
class Cubic:
    """Choose the item with the highest y = 10 (x³ − 0.65 x), x uniform on (−1, 1).

    The least squares line through this cubic falls, so that the model with the least error
    chooses the lowest items; a line that is right near x = 1 chooses the highest (LODL,
    arXiv 2203.16067, section 5).

    Attributes:
        seed: of the data.
        num_items: of an instance.
        sizes: instances to train on, to choose by and to report on.
        epsilon: smoothness of the relaxed choice.
    """

    seed: int = 0
    num_items: int = 50
    sizes: tuple[int, int, int] = (200, 200, 400)
    epsilon: float = 0.01

    @property
    def sense(self) -> Sense:
        """The value of the chosen item is to be high."""
        return "maximize"

    @property
    def target_range(self) -> None:
        """A value is any number."""
        return None

    def split(self) -> Split:
        """Draw all items."""
        generator = stream(self.seed, "data")
        return Split(*(self._draw(size, generator) for size in self.sizes))

    def _draw(self, size: int, generator: torch.Generator) -> Data:
        x = 2 * torch.rand(size, self.num_items, 1, generator=generator) - 1
        return Data(x, 10 * (x**3 - 0.65 * x), nothing(size))

    def decision(self, y_hat: Tensor, aux: Tensor, *, relaxed: bool = False) -> Tensor:
        """Which item: (B, I, 1) → (B, I), one for the chosen and zero for the others."""
        scores = y_hat.squeeze(-1)
        if relaxed:
            return soft_top_k(scores, 1, self.epsilon)
        return one_hot(scores.argmax(-1), self.num_items).to(scores.dtype)

    def objective(self, y: Tensor, z: Tensor, aux: Tensor) -> Tensor:
        """f(y, z) = Σᵢ zᵢ yᵢ."""
        return (z * y.squeeze(-1)).sum(-1)
