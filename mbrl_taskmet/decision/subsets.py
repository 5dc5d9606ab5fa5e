"""A choice among all subsets of a size, hard or smoothed."""

from itertools import combinations

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def subsets(num_items: int, size: int) -> Tensor:
    """Which items each subset holds: shape (number of subsets, items), of ones and zeros.

    >>> subsets(3, 2).tolist()
    [[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]

    Raises:
        ValueError: if there is no subset of this size, or no choice.
    """
    if not 0 < size < num_items:
        raise ValueError(
            f"A subset of {num_items} items must hold between 1 and {num_items - 1}; got {size}."
        )
    members = torch.tensor(list(combinations(range(num_items), size)))
    return one_hot(members, num_items).sum(1).float()


def best_choice(values: Tensor) -> Tensor:
    """One for the choice of the highest value, zero for the others: (B, S) → (B, S)."""
    return one_hot(values.argmax(-1), values.shape[-1]).to(values.dtype)


def soft_choice(values: Tensor, temperature: float) -> Tensor:
    """z_S ∝ exp(f_S / τ), the choice that maximises Σ_S z_S f_S + τ entropy(z): (B, S) → (B, S).

    Raises:
        ValueError: if the temperature τ is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"The temperature must be positive; got {temperature}.")
    return torch.softmax(values / temperature, -1)
