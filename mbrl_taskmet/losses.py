"""The three losses and the soft value, as the equations have them: pure functions of tensors."""

import torch
from torch import Tensor


def prediction_loss(errors: Tensor, weighted_errors: Tensor, reward_errors: Tensor) -> Tensor:
    """L_pred = mean_B[(ŝ′ − s′)ᵀ Λ (ŝ′ − s′)] + mean_B[(r̂ − r)²].

    Args:
        errors: ŝ′ − s′, shape (B, n).
        weighted_errors: Λ (ŝ′ − s′), shape (B, n).
        reward_errors: r̂ − r, shape (B,).
    """
    _check_ranks(errors=(errors, 2), weighted_errors=(weighted_errors, 2))
    _check_ranks(reward_errors=(reward_errors, 1))
    return (errors * weighted_errors).sum(-1).mean() + reward_errors.square().mean()


def soft_value(action_values: Tensor, temperature: float) -> Tensor:
    """V(s) = α logsumexp(min_j Q_j(s, ·) / α), the value of soft double Q-learning.

    Args:
        action_values: Q_j(s, a) of each critic and action, shape (J, B, A).
        temperature: α, in units of reward.

    Returns:
        V, shape (B,).
    """
    _check_ranks(action_values=(action_values, 3))
    return temperature * torch.logsumexp(action_values.amin(0) / temperature, -1)


def bellman_target(
    rewards: Tensor, terminations: Tensor, next_values: Tensor, gamma: float
) -> Tensor:
    """Y = r + γ m V(s′), with m = 1 − terminated: all of shape (B,)."""
    _check_ranks(rewards=(rewards, 1), terminations=(terminations, 1), values=(next_values, 1))
    return rewards + gamma * (1 - terminations) * next_values


def bellman_error(values: Tensor, targets: Tensor) -> Tensor:
    """mean_B Σ_j (Q_j(s, a) − y)²: with the model's targets L_Q, with the true ones L_task.

    Args:
        values: Q_j(s, a) of each critic, shape (J, B).
        targets: y, shape (B,).
    """
    _check_ranks(values=(values, 2), targets=(targets, 1))
    return (values - targets).square().sum(0).mean()


def _check_ranks(**expected: tuple[Tensor, int]) -> None:
    """Refuse what would otherwise broadcast silently."""
    for name, (tensor, rank) in expected.items():
        if tensor.dim() != rank:
            raise ValueError(
                f"{name} must have {rank} dimension(s); got shape {tuple(tensor.shape)}."
            )
