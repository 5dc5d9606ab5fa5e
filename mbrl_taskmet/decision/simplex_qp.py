"""Quadratic programmes on the simplex, a batch at a time, exact and differentiable."""

import torch
from torch import Tensor

ASYMMETRY = 1e-5
"""Of Q, in units of its largest entry, that passes for rounding in single precision."""

TOLERANCE = 1e-10
"""Of a multiplier below zero, in units of the largest gradient: rounding of a double."""


def simplex_qp(linear: Tensor, quadratic: Tensor) -> Tensor:
    """z* = argmax_z pᵀz − ½ zᵀQz subject to z ≥ 0, 1ᵀz = 1.

    An active-set method finds the support of each z* without a tape. On its support, z* solves

        Q_SS z_S + ν 1 = p_S,   1ᵀz_S = 1,

    linear equations through which autograd differentiates: dz* is that of the reduced system, since
    a small change of p and Q leaves the support as it is (wherever z* has a derivative).

    Args:
        linear: p, shape (B, n).
        quadratic: Q, shape (B, n, n), symmetric and positive definite.

    Returns:
        z*, shape (B, n), of p's type; computed in double precision.

    Raises:
        ValueError: if the shapes do not belong together, a number is not finite, or a Q is not
            symmetric and positive definite.
    """
    if linear.dim() != 2 or quadratic.shape != (*linear.shape, linear.shape[-1]):
        raise ValueError(
            "A batch of programmes needs p of shape (B, n) and Q of shape (B, n, n); got "
            f"{tuple(linear.shape)} and {tuple(quadratic.shape)}."
        )
    p, Q = linear.double(), quadratic.double()
    with torch.no_grad():
        asymmetry, largest = (Q - Q.mT).abs().amax((-2, -1)), Q.abs().amax((-2, -1))
    # A number of Q that is not finite leaves a difference that is not.
    if not (p.isfinite().all() and asymmetry.isfinite().all()):
        raise ValueError("A programme needs finite numbers: look for NaN and infinity in p and Q.")
    if (asymmetry > ASYMMETRY * largest).any():
        raise ValueError("The quadratic term must be symmetric: pass the mean of Q and Qᵀ.")
    if torch.linalg.cholesky_ex(Q.detach()).info.any():
        raise ValueError(
            "The quadratic term must be positive definite: add a multiple of the identity."
        )
    with torch.no_grad():
        support = _support(p, Q)
    z, _ = _on_support(p, Q, support)
    return z.to(linear.dtype)


def _on_support(p: Tensor, Q: Tensor, support: Tensor) -> tuple[Tensor, Tensor]:
    """The reduced system's z, zero outside the support, and its ν: (B, n), (B, 1).

    With z_S = Q_SS⁻¹ (p_S − ν 1), the sum gives ν = (1ᵀ Q_SS⁻¹ p_S − 1) / (1ᵀ Q_SS⁻¹ 1).
    Outside the support Q is replaced by the identity, so that all systems have one size.
    """
    inside = support.to(p.dtype)
    padded = Q * inside.unsqueeze(-1) * inside.unsqueeze(-2) + torch.diag_embed(1 - inside)
    factor = torch.linalg.cholesky(padded)
    sides = torch.stack([p * inside, inside], -1)
    toward_p, toward_one = torch.cholesky_solve(sides, factor).unbind(-1)
    nu = (toward_p.sum(-1, keepdim=True) - 1) / toward_one.sum(-1, keepdim=True)
    return toward_p - nu * toward_one, nu


def _support(p: Tensor, Q: Tensor) -> Tensor:
    """Where z* is positive, by the primal active-set method from the best vertex: (B, n).

    Each round solves on the present support. If that leaves the simplex, z goes as far as it may
    and the coordinate that stops it leaves the support; else the coordinate outside whose
    multiplier is most negative enters; if there is none, z is optimal. The objective rises
    in every round, so that no support comes back.
    """
    batch, n = p.shape
    start = (p - Q.diagonal(dim1=-2, dim2=-1) / 2).argmax(-1, keepdim=True)
    z = torch.zeros_like(p).scatter(-1, start, 1.0)
    support = z > 0
    open_ = torch.arange(batch)
    for _ in range(20 * n):
        z_open, support_open, optimal = _round(p[open_], Q[open_], z[open_], support[open_])
        z[open_], support[open_] = z_open, support_open
        open_ = open_[~optimal]
        if len(open_) == 0:
            return support
    raise ArithmeticError(
        f"The active-set method has not ended for {len(open_)} of {batch} programmes: make the "
        "quadratic term better conditioned by adding a multiple of the identity."
    )


def _round(p: Tensor, Q: Tensor, z: Tensor, support: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One round for each programme: the new z and support, and whether they are optimal."""
    target, nu = _on_support(p, Q, support)
    leaves = support & (target <= 0)
    blocked = leaves.any(-1, keepdim=True)

    lengths = torch.where(leaves, z / (z - target), torch.inf)
    length, first = lengths.min(-1, keepdim=True)
    stopped = z + torch.where(blocked, length, 1.0) * (target - z)

    gradient = (Q @ target.unsqueeze(-1)).squeeze(-1) - p
    multipliers = torch.where(support, torch.inf, gradient + nu)
    multiplier, entering = multipliers.min(-1, keepdim=True)
    enters = ~blocked & (multiplier < -TOLERANCE * gradient.abs().amax(-1, keepdim=True))

    index = torch.where(blocked, first, entering)
    changed = support.scatter(-1, index, enters)
    support = torch.where(blocked | enters, changed, support)
    return torch.where(support, stopped, 0.0), support, ~(blocked | enters).squeeze(-1)
