import math
from collections import Counter
from itertools import combinations_with_replacement

import numpy as np
import pytest

from mbrl_taskmet.studies.statistics import interquartile_mean, summarize


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7.0], 7.0),
        ([1.0, 3.0], 2.0),
        ([0.0, 1.0, 2.0, 100.0], 1.5),
        ([-9.0, 1.0, 2.0, 6.0, 500.0], 3.0),
        ([0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 9.0, 9.0], 2.5),
    ],
)
def test_interquartile_mean_leaves_a_quarter_out_at_each_end(values, expected):
    shuffled = np.random.default_rng(0).permutation(values)
    assert interquartile_mean(shuffled) == pytest.approx(expected)


def test_interquartile_mean_is_that_of_each_row():
    values = np.random.default_rng(0).normal(size=(3, 4, 9))
    expected = [[interquartile_mean(row) for row in rows] for rows in values]
    np.testing.assert_allclose(interquartile_mean(values), expected)


def test_the_interval_holds_the_mean_and_narrows_with_the_seeds():
    rng = np.random.default_rng(1)
    few, many = (summarize(rng.normal(10, 1, size=n)) for n in (5, 500))
    for summary in (few, many):
        assert summary.low <= summary.iqm <= summary.high
    assert many.high - many.low < (few.high - few.low) / 3


def test_a_mean_over_what_is_missing_is_missing():
    assert np.isnan(interquartile_mean(np.array([1, 2, 3, 4, np.nan])))
    assert interquartile_mean(np.array([[1, np.nan], [1, 3]]))[1] == 2


def test_the_interval_of_five_seeds_is_that_of_all_resamples():
    """Each choice of seeds with repetition stands for as many resamples as it has orders."""
    scores = np.array([120.0, 194.0, 397.0, 494.0, 495.0])
    means = [
        interquartile_mean(scores[list(chosen)])
        for chosen in combinations_with_replacement(range(5), 5)
        for _ in range(
            math.factorial(5) // math.prod(map(math.factorial, Counter(chosen).values()))
        )
    ]
    assert len(means) == 5**5
    expected = np.percentile(means, [2.5, 97.5], method="inverted_cdf")
    np.testing.assert_allclose(summarize(scores)[1:], expected)


def test_the_interval_of_many_seeds_is_drawn_and_close_to_that_of_all_resamples():
    scores = np.random.default_rng(0).normal(size=6)
    whole, drawn = summarize(scores), summarize(scores, resamples=6**6 - 1)
    np.testing.assert_allclose(drawn, whole, atol=0.05)


def test_the_interval_is_the_brute_force_one_on_two_seeds():
    # Two seeds draw (0, 0), (0, 1), (1, 0), (1, 1): means 0, 1/2, 1/2, 1.
    summary = summarize(np.array([0.0, 1.0]))
    assert (summary.low, summary.high) == (0.0, 1.0)
    narrower = summarize(np.array([0.0, 1.0]), confidence=0.4)
    assert (narrower.low, narrower.high) == (0.5, 0.5)
    # A tail of 20 % lies within the quarter of the samples at each end.
    wider = summarize(np.array([0.0, 1.0]), confidence=0.6)
    assert (wider.low, wider.high) == (0.0, 1.0)
