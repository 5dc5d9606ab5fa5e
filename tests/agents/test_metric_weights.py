"""Which dimensions matter, as an agent reports it."""

import io
import itertools
import math

import numpy as np
import pytest
import torch
from rich.console import Console
from torch.nn.functional import softplus

from mbrl_taskmet import MLE, OMD, VEP, TaskMet, VaGraM
from mbrl_taskmet.agents import MetricWeights
from mbrl_taskmet.relevance import AllAlike, CriticSensitivity

RAW = torch.tensor([0.3, -1.0, 2.0, 0.0, 0.5, -3.0])
NAMES = ("cart_position", "cart_velocity", "pole_angle", "pole_angular_velocity")


def with_metric(agent, parameters):
    agent.learner.state = agent.learner.state._replace(metric=parameters)
    return agent.metric_weights()


@pytest.mark.parametrize("agent_class", [MLE, OMD, VEP, TaskMet])
def test_all_dimensions_weigh_one_before_and_without_metric_learning(agent_class, make_agent):
    agent = make_agent(agent_class)
    np.testing.assert_allclose(agent.metric_weights().weights, 1, rtol=1e-6)
    if agent_class is not TaskMet:
        np.testing.assert_allclose(agent.learn(100).metric_weights().weights, 1, rtol=1e-6)


def test_the_weights_of_vagram_are_the_values_squared_gradients_over_experience(make_agent):
    agent = make_agent(VaGraM).learn(100)
    state = agent.learner.state
    (batch,) = agent.replay_buffer.sample_batches(1_024, 1, torch.Generator().manual_seed(0))
    observations = state.normalizer(batch.next_observations).requires_grad_()
    values = agent.learner.update.critic.linearize_value(state.target_critic, observations).outputs
    (gradient,) = torch.autograd.grad(values.sum(), observations)
    expected = gradient.square().mean(0) / gradient.square().mean()
    np.testing.assert_allclose(agent.metric_weights().weights, expected, rtol=1e-4)


@pytest.mark.parametrize("normalize", [True, False])
def test_weights_of_a_diagonal_metric_are_its_diagonal(make_agent, normalize):
    found = with_metric(make_agent(TaskMet, normalize_metric=normalize), RAW)
    diagonal = softplus(RAW.double())
    scale = math.sqrt(6) / diagonal.norm() if normalize else 1.0
    np.testing.assert_allclose(found.weights, scale * diagonal, rtol=1e-6)
    assert found.names == (*NAMES, "distractor_0", "distractor_1")
    assert found.ranks.tolist() == [3, 5, 1, 4, 2, 6]


def test_weights_of_a_full_metric_are_its_diagonal(make_agent):
    agent = make_agent(TaskMet, metric="full")
    raw = torch.randn(21, generator=torch.Generator().manual_seed(0))
    factor = torch.zeros(6, 6, dtype=torch.float64)
    below = iter(raw[6:].double())
    for i in range(6):
        for j in range(i):
            factor[i, j] = next(below)
        factor[i, i] = softplus(raw[i].double())
    matrix = factor @ factor.T
    expected = math.sqrt(6) * matrix.diagonal() / matrix.norm()
    np.testing.assert_allclose(with_metric(agent, raw).weights, expected, rtol=1e-5)


def test_weights_of_a_conditional_metric_are_a_mean_over_what_happened(make_agent):
    options = {"relevance": AllAlike(), "largest_weight": None}
    agent = make_agent(TaskMet, metric_hidden=(5,), **options)
    np.testing.assert_allclose(agent.metric_weights().weights, 1, rtol=1e-6)
    agent.learn(60)
    parameters = agent.learner.state.metric
    parameters = parameters + torch.randn(parameters.shape, generator=torch.Generator())
    found = with_metric(agent, parameters)
    (seen,) = agent.replay_buffer.sample_batches(1_024, 1, torch.Generator().manual_seed(0))
    mean, scale = agent.learner.state.normalizer
    inputs = torch.cat([(seen.observations - mean) * scale, seen.actions], 1)
    raw = agent.learner.update.metric.network(parameters, inputs).double()
    each = math.sqrt(6) * softplus(raw) / softplus(raw).norm(dim=1, keepdim=True)
    np.testing.assert_allclose(found.weights, each.mean(0), rtol=1e-5)
    assert each.std(0).min() > 0.01


def test_weights_are_the_metrics_times_the_prior(make_agent):
    relevance = CriticSensitivity(threshold=0.3, floor=0.05)
    agent = make_agent(TaskMet, relevance=relevance)
    evidence = torch.tensor([0.5, 0.1, 0.3, -0.1, 0.0, 0.05])
    agent.learner.state = agent.learner.state._replace(evidence=evidence)
    share = evidence.clamp_min(0).double() / 0.5
    prior = (0.05 + 0.95 * share**2 / (share**2 + 0.3**2)) ** 2
    expected = prior * math.sqrt(6) / prior.norm() * softplus(RAW.double())
    expected *= math.sqrt(6) / softplus(RAW.double()).norm()
    np.testing.assert_allclose(with_metric(agent, RAW).weights, expected, rtol=1e-5)


def test_prediction_errors_are_the_models_on_experience(make_agent):
    agent = make_agent(TaskMet).learn(100)
    update, state = agent.learner.update, agent.learner.state
    (seen,) = agent.replay_buffer.sample_batches(1_024, 1, torch.Generator().manual_seed(0))
    inputs = torch.cat([update.see(state, state.normalizer(seen.observations)), seen.actions], 1)
    dynamics, _ = update.model.split(state.model)
    predicted = update.model.dynamics(dynamics, inputs)
    expected = (predicted - state.normalizer(seen.next_observations)).square().mean(0)
    np.testing.assert_allclose(agent.prediction_errors(), expected, rtol=1e-4)


def test_without_experience_there_is_nothing_to_predict(make_agent):
    with pytest.raises(ValueError, match="has no experience to predict: let it learn, or"):
        make_agent(MLE).prediction_errors()


def test_reading_the_weights_does_not_change_the_run(make_agent, snapshot, differences):
    unread, read = (make_agent(TaskMet, metric_hidden=(5,)) for _ in range(2))
    unread.learn(120)
    read.learn(120, callback=lambda local, _: local["self"].metric_weights() is not None)
    assert differences(snapshot(unread), snapshot(read)) == []


def test_distractors_without_any_weight_are_infinitely_lighter():
    weights = MetricWeights(tuple("abc"), np.array([2.0, 0.0, 0.0]))
    found = weights.separation([False, True, True])
    assert found.real_over_distractor_ratio == math.inf
    assert found.ranking_auc == 1.0


def test_equal_weights_share_a_rank():
    weights = MetricWeights(tuple("abcde"), np.array([2.0, 5.0, 2.0, 1.0, 5.0]))
    assert weights.ranks.tolist() == [3, 1, 3, 5, 1]
    assert list(weights.as_dict()) == ["b", "e", "a", "c", "d"]
    assert weights.as_dict()["c"] == {"weight": 2.0, "rank": 3}


@pytest.mark.parametrize("rows", [None, 2, 9])
def test_the_table_shows_the_heaviest_dimensions_first(rows):
    weights = MetricWeights(("feather", "stone", "wood"), np.array([0.25, 3.0, 1.0]))
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(weights.table(rows))
    printed = console.export_text()
    places = [printed.find(word) for word in ("stone", "wood", "feather")]
    assert "3.00 " in printed
    assert 0 < places[0] < places[1]
    if rows == 2:
        assert places[2] < 0
        assert "1 more dimensions not shown" in printed
    else:
        assert places[1] < places[2]
        assert "not shown" not in printed
    bars = [line.count("█") for line in printed.splitlines() if "█" in line]
    assert bars[:2] == [30, 10]


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
