"""Real dimensions and distractors, told apart by their weights."""

import itertools
import math

import numpy as np
import pytest

from mbrl_taskmet import MLE
from mbrl_taskmet.agents import MetricWeights


def brute_force_separation(weights, distractors):
    real, noise = weights[~distractors], weights[distractors]
    pairs = list(itertools.product(real, noise))
    auc = sum((r > d) + 0.5 * (r == d) for r, d in pairs) / len(pairs)
    # A real dimension is on top if fewer than r dimensions weigh more or tie as distractors.
    on_top = 0
    for i in np.flatnonzero(~distractors):
        ahead = (weights > weights[i]) | (distractors & (weights == weights[i]))
        same = ~distractors[:i] & (weights[:i] == weights[i])
        on_top += ahead.sum() + same.sum() < len(real)
    return real.mean() / noise.mean(), on_top, auc


def test_distractors_without_any_weight_are_infinitely_lighter():
    weights = MetricWeights(tuple("abc"), np.array([2.0, 0.0, 0.0]))
    found = weights.separation([False, True, True])
    assert found.real_over_distractor_ratio == math.inf
    assert found.ranking_auc == 1.0


@pytest.mark.parametrize("seed", range(10))
def test_separation_is_what_counting_by_hand_gives(seed):
    rng = np.random.default_rng(seed)
    num = rng.integers(2, 12)
    weights = rng.integers(1, 5, num).astype(float)  # many ties
    distractors = rng.permutation(np.arange(num) < rng.integers(1, num))
    found = MetricWeights(tuple(map(str, range(num))), weights).separation(distractors)
    ratio, on_top, auc = brute_force_separation(weights, distractors)
    assert found.real_over_distractor_ratio == pytest.approx(ratio)
    assert found.real_on_top == on_top
    assert found.ranking_auc == pytest.approx(auc)


def test_equal_weights_are_not_taken_for_knowledge():
    separation = MetricWeights(tuple("abcd"), np.ones(4)).separation([False, False, True, True])
    assert separation.as_dict() == {
        "real_over_distractor_ratio": 1.0,
        "real_on_top": 0,
        "ranking_auc": 0.5,
    }


@pytest.mark.parametrize("mask", [[False] * 3, [True] * 3])
def test_without_both_kinds_of_dimension_there_is_nothing_to_compare(mask):
    with pytest.raises(ValueError, match="compare only where there are both: leave"):
        MetricWeights(tuple("abc"), np.ones(3)).separation(mask)


def test_an_untrained_agent_knows_nothing(make_agent, make_env):
    mask = make_env().get_wrapper_attr("distractor_mask")
    assert make_agent(MLE).metric_weights().separation(mask).real_on_top < 4
