"""A smooth choice of the k highest scores."""

import torch
from torch import Tensor

from mbrl_taskmet.arguments import is_whole

BISECTIONS = 60
"""Halvings of the bracket around the root: to the last bit of a double."""


def soft_top_k(scores: Tensor, k: int, epsilon: float = 0.01) -> Tensor:
    """How far each score is among the k highest, by entropic optimal transport.

    The n scores, of mass 1/n each, are moved to the anchors 0 and 1, which take the masses
    1 − k/n and k/n; moving s to a costs (s − a)², in units of the largest cost, and the plan's
    entropy is rewarded by ε (Xie et al. 2020, arXiv 2002.06504). What arrives at 1 from each score,
    times n, is the choice. With two anchors the plan has a closed form but for one number t:

        zᵢ = σ(aᵢ + t),   aᵢ = ((sᵢ − 0)² − (sᵢ − 1)²) / (ε max cost),   Σᵢ zᵢ = k.

    Args:
        scores: s, shape (…, n).
        k: how many to choose; fewer than n.
        epsilon: ε; towards zero, the choice becomes hard.

    Returns:
        z in (0, 1), shape (…, n), whose sum is k.

    Raises:
        ValueError: if k is not a whole number between 1 and n − 1, or ε not positive.
    """
    n = scores.shape[-1]
    if not is_whole(k) or not 0 < k < n:
        raise ValueError(
            f"k must be a whole number between 1 and {n - 1} to choose among {n} scores; got {k!r}."
        )
    if not epsilon > 0:
        raise ValueError(f"epsilon must be positive; got {epsilon}.")
    to_zero, to_one = scores.square(), (scores - 1).square()
    largest = torch.maximum(to_zero, to_one).amax(-1, keepdim=True)
    return _sigmoids_of_sum((to_zero - to_one) / (epsilon * largest), k)


def _sigmoids_of_sum(logits: Tensor, k: int) -> Tensor:
    """σ(a + t) with the t at which the sum over the last axis is k.

    t is found without a tape. One step of Newton's method from the root, with the slope held
    fixed, stays where it is and has the root's derivative, ∂t/∂aᵢ = −zᵢ(1 − zᵢ) / Σⱼ zⱼ(1 − zⱼ).
    """
    root = _root(logits.detach(), k)
    with torch.no_grad():
        z = torch.sigmoid(logits + root)
        # Where all choices are hard to the last bit, nothing moves.
        slope = (z * (1 - z)).sum(-1, keepdim=True).clamp_min(torch.finfo(z.dtype).tiny)
    excess = torch.sigmoid(logits + root).sum(-1, keepdim=True) - k
    return torch.sigmoid(logits + (root - excess / slope))


def _root(logits: Tensor, k: int) -> Tensor:
    """The t with Σᵢ σ(aᵢ + t) = k, by bisection: (…, n) → (…, 1)."""
    share = torch.logit(torch.tensor(k / logits.shape[-1], dtype=logits.dtype))
    low = share - logits.amax(-1, keepdim=True)
    high = share - logits.amin(-1, keepdim=True)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        too_many = torch.sigmoid(logits + middle).sum(-1, keepdim=True) > k
        low, high = torch.where(too_many, low, middle), torch.where(too_many, middle, high)
    return (low + high) / 2
