"""How step sizes change over training, in the form that Stable-Baselines3 calls."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LateFall:
    """A rate that stays, and then falls linearly.

    Attributes:
        rate: at first.
        decay: share of it that is gone at the end, from 0 to 1.
        start: share of training after which it falls, from 0 to less than 1.
    """

    rate: float
    decay: float
    start: float

    def __call__(self, progress_remaining: float) -> float:
        """The rate, from the progress that remains: 1 at first, 0 at the end and below after it."""
        fallen = max(1 - progress_remaining - self.start, 0) / (1 - self.start)
        return self.rate * (1 - self.decay * min(fallen, 1))
