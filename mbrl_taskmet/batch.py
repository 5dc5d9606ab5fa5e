"""A batch of transitions, as every loss and every level of the loop reads it."""

from typing import NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    """Transitions (s, a, r, s′, 1 − m, ε), one per row.

    Attributes:
        observations: s, shape (B, n).
        actions: a, shape (B, d): one-hot rows for a discrete action space, the action's
            coordinates for a continuous one.
        rewards: r, shape (B,).
        next_observations: s′, shape (B, n); at the end of an episode the true final
            observation, not the first one of the next episode.
        terminations: 1 − m, shape (B,): 1.0 where the episode *terminated* in s′ and 0.0
            elsewhere. A time limit truncates and does not terminate: its value bootstraps.
        noise: ε, shape (B, e): standard normal numbers by which a policy draws its action in s
            and in s′; none of them (e = 0) for one that needs no draw.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    next_observations: Tensor
    terminations: Tensor
    noise: Tensor

    @property
    def model_inputs(self) -> Tensor:
        """(s, a) side by side, as the model reads them, shape (B, n + d)."""
        return torch.cat([self.observations, self.actions], -1)
