"""Summaries over seeds, as rliable defines them (Agarwal et al. 2021, arXiv 2108.13264)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Summary(NamedTuple):
    """A mean over seeds that outliers do not move, and how sure of it one can be.

    Attributes:
        iqm: interquartile mean.
        low: lower end of its 95 % interval.
        high: upper end.
    """

    iqm: float
    low: float
    high: float


def interquartile_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the middle half along the last axis, a quarter cut off each end, rounded down.

    Args:
        values: shape (…, N).

    Returns:
        Shape (…).
    """
    count = values.shape[-1]
    cut = count // 4
    mean: NDArray[np.float64] = np.sort(values, axis=-1)[..., cut : count - cut].mean(-1)
    return mean


def summarize(
    tasks: NDArray[np.float64], *, repetitions: int = 5_000, confidence: float = 0.95
) -> Summary:
    """The interquartile mean over all tasks and seeds, with a stratified bootstrap interval.

    Args:
        tasks: scores of shape (tasks, seeds); a bootstrap sample redraws the seeds of each task.
        repetitions: bootstrap samples.
        confidence: of the interval, by percentiles.
    """
    num_tasks, num_seeds = tasks.shape
    rng = np.random.default_rng(0)
    drawn = rng.integers(num_seeds, size=(repetitions, num_tasks, num_seeds))
    samples = np.take_along_axis(tasks[None], drawn, axis=2).reshape(repetitions, -1)
    tail = 50 * (1 - confidence)
    low, high = np.percentile(interquartile_mean(samples), [tail, 100 - tail])
    return Summary(float(interquartile_mean(tasks.reshape(-1))), float(low), float(high))
