"""Summaries over seeds, as rliable defines them (Agarwal et al. 2021, arXiv 2108.13264)."""

from itertools import product
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
        Shape (…); NaN where one of the values is.
    """
    count = values.shape[-1]
    cut = count // 4
    mean = np.sort(values, axis=-1)[..., cut : count - cut].mean(-1)
    found: NDArray[np.float64] = np.where(np.isnan(values).any(-1), np.nan, mean)
    return found


def summarize(
    scores: NDArray[np.float64], *, resamples: int = 50_000, confidence: float = 0.95
) -> Summary:
    """The interquartile mean over seeds, with a bootstrap interval.

    Of few seeds all resamples are taken rather than drawn: the ends of an interval are then single
    values far from each other, between which a draw would decide.

    Args:
        scores: of each seed, shape (N,).
        resamples: how many are drawn, where there are more.
        confidence: of the interval, by percentiles.
    """
    count = len(scores)
    if count**count <= resamples:
        drawn = np.array(list(product(range(count), repeat=count)))
    else:
        drawn = np.random.default_rng(0).integers(count, size=(resamples, count))
    tail = 50 * (1 - confidence)
    means = interquartile_mean(scores[drawn])
    low, high = np.percentile(means, [tail, 100 - tail], method="inverted_cdf")
    return Summary(float(interquartile_mean(scores)), float(low), float(high))


def mean_and_deviation(values: NDArray[np.float64], form: str) -> str:
    """Mean ± sample standard deviation, in a format; of one value there is no deviation.

    >>> mean_and_deviation(np.array([1.0, 2.0, 3.0]), "{:.1f}")
    '2.0 ± 1.0'
    >>> mean_and_deviation(np.array([2.0]), "{:.1f}")
    '2.0'
    """
    mean = form.format(values.mean())
    return mean if len(values) == 1 else f"{mean} ± {form.format(values.std(ddof=1))}"
