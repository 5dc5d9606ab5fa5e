"""Which dimensions matter, as an agent reports it."""

import math

import numpy as np
import pytest
import torch
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize
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
    critic, seen = agent.learner.update.critic, (observations, batch.noise)
    values = critic.linearize_value(state.target_critic, state.policy, *seen).outputs
    (gradient,) = torch.autograd.grad(((1 - batch.terminations) * values).sum(), observations)
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
    found = with_metric(agent, raw)
    np.testing.assert_allclose(found.weights, expected, rtol=1e-5)
    np.testing.assert_allclose(found.matrix, math.sqrt(6) * matrix / matrix.norm(), rtol=1e-4)
    assert with_metric(make_agent(TaskMet), RAW).matrix is None


def observe(agent):
    """Let an agent see a thousand observations of known spread: their standard deviations."""
    seen = np.random.default_rng(0).normal(size=(1_000, 6)) * [0.1, 0.3, 1.0, 3.0, 10.0, 100.0]
    agent.learner.observe(seen)
    return seen.std(0)


def test_weights_of_an_agent_that_normalises_are_per_standard_deviation(make_agent):
    agent = make_agent(TaskMet)
    std = observe(agent)
    agent.learner.renew_normalizer()
    found = with_metric(agent, RAW)
    np.testing.assert_allclose(found.per_std, found.weights, rtol=1e-6)
    np.testing.assert_allclose(found.per_unit, found.weights / std**2, rtol=1e-3)


def test_weights_of_an_agent_that_does_not_normalise_are_per_unit(make_agent):
    agent = make_agent(TaskMet, normalize_observations=False, relevance=AllAlike())
    std = observe(agent)
    found = with_metric(agent, RAW)
    np.testing.assert_allclose(found.per_unit, found.weights, rtol=1e-6)
    np.testing.assert_allclose(found.per_std, found.weights * std**2, rtol=1e-3)


@pytest.mark.parametrize("normalize", [True, False])
def test_weights_per_unit_weigh_errors_as_the_agent_does(make_agent, normalize):
    """λ e² is the same in the agent's units, in the environment's and in standard deviations."""
    agent = make_agent(TaskMet, normalize_observations=normalize, relevance=AllAlike())
    std = observe(agent)
    if normalize:
        agent.learner.renew_normalizer()
    found = with_metric(agent, RAW)
    errors = np.random.default_rng(1).normal(size=6)
    in_agents_units = errors * agent.learner.state.normalizer.scale.double().numpy()
    cost = found.weights * in_agents_units**2
    np.testing.assert_allclose(found.per_unit * errors**2, cost, rtol=1e-6)
    np.testing.assert_allclose(found.per_std * (errors / std) ** 2, cost, rtol=1e-3)


@pytest.mark.parametrize("normalize", [True, False])
def test_the_standard_deviation_is_that_of_what_was_observed(make_agent, seen, normalize, tmp_path):
    agent = make_agent(TaskMet, normalize_observations=normalize, relevance=AllAlike())
    assert agent.metric_weights().per_std is None  # nothing was observed yet
    agent.learn(150, callback=seen)
    expected = agent.metric_weights().per_unit * np.var(seen.observations, 0)
    np.testing.assert_allclose(agent.metric_weights().per_std, expected, rtol=1e-3)
    agent.save(tmp_path / "agent.zip")
    loaded = TaskMet.load(tmp_path / "agent.zip").metric_weights()
    np.testing.assert_array_equal(loaded.per_std, agent.metric_weights().per_std)


def test_weights_of_a_conditional_metric_are_a_mean_over_what_happened(make_agent):
    options = {"relevance": AllAlike(), "largest_weight": None}
    agent = make_agent(TaskMet, metric_hidden=(5,), **options)
    np.testing.assert_allclose(agent.metric_weights().weights, 1, rtol=1e-6)
    agent.learn(60)
    parameters = agent.learner.state.metric
    parameters = parameters + torch.randn(parameters.shape, generator=torch.Generator())
    found = with_metric(agent, parameters)
    (seen,) = agent.replay_buffer.sample_batches(1_024, 1, torch.Generator().manual_seed(0))
    mean, scale, _ = agent.learner.state.normalizer
    inputs = torch.cat([(seen.observations - mean) * scale, seen.actions], 1)
    raw = agent.learner.update.metric.network(parameters, inputs).double()
    each = math.sqrt(6) * softplus(raw) / softplus(raw).norm(dim=1, keepdim=True)
    np.testing.assert_allclose(found.weights, each.mean(0), rtol=1e-5)
    assert each.std(0).min() > 0.01
    expected = np.quantile(each, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
    np.testing.assert_allclose(found.quantiles, expected, rtol=1e-5)


def test_the_matrix_of_a_full_conditional_metric_is_a_mean_over_what_happened(make_agent):
    agent = make_agent(TaskMet, metric="full", metric_hidden=(5,), relevance=AllAlike()).learn(60)
    parameters = agent.learner.state.metric
    parameters = parameters + 0.3 * torch.randn(parameters.shape, generator=torch.Generator())
    found = with_metric(agent, parameters)
    seen = agent._experience()
    inputs = torch.cat([seen.observations, seen.actions], 1)[:256]
    matrices = agent.learner.update.metric.matrix(parameters, inputs)
    assert matrices.shape == (256, 6, 6)
    np.testing.assert_allclose(found.matrix, matrices.mean(0), atol=1e-5)
    assert matrices.std(0).min() > 1e-3


@pytest.mark.parametrize("known", [(), ("per_std", "per_unit"), ("quantiles", "matrix")])
def test_what_was_written_is_read_back(tmp_path, known):
    shapes = {"per_std": 3, "per_unit": 3, "quantiles": (5, 3), "matrix": (3, 3)}
    arrays = {name: np.random.default_rng(0).normal(size=shapes[name]) for name in known}
    weights = MetricWeights(tuple("abc"), np.array([2.0, 0.5, 1.0]), **arrays)
    for path in (tmp_path / "weights.npz", str(tmp_path / "weights.npz")):
        weights.save(path)
        found = MetricWeights.load(path)
        assert vars(found).keys() == vars(weights).keys()
        assert found.names == weights.names
        for name in ("weights", *shapes):
            np.testing.assert_array_equal(getattr(found, name), getattr(weights, name))
    assert [path.name for path in tmp_path.iterdir()] == ["weights.npz"]


def test_the_mean_holds_what_is_known_of_all():
    one = MetricWeights(tuple("ab"), np.array([1.0, 2.0]), per_std=np.array([4.0, 4.0]))
    other = MetricWeights(tuple("ab"), np.array([3.0, 6.0]), np.ones(2), np.ones(2))
    mean = MetricWeights.mean([one, other])
    assert mean.weights.tolist() == [2.0, 4.0]
    assert mean.per_std.tolist() == [2.5, 2.5]
    assert mean.per_unit is None


def test_weights_are_the_metrics_times_the_prior(make_agent):
    relevance = CriticSensitivity(threshold=0.3, floor=0.05)
    agent = make_agent(TaskMet, relevance=relevance)
    evidence = torch.tensor([0.5, 0.1, 0.3, -0.1, 0.0, 0.05])
    agent.learner.state = agent.learner.state._replace(sight=relevance.judge(evidence))
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


def test_equal_weights_share_a_rank():
    weights = MetricWeights(tuple("abcde"), np.array([2.0, 5.0, 2.0, 1.0, 5.0]))
    assert weights.ranks.tolist() == [3, 1, 3, 5, 1]
    assert list(weights.as_dict()) == ["b", "e", "a", "c", "d"]
    assert weights.as_dict()["c"] == {"weight": 2.0, "rank": 3}


@pytest.mark.parametrize("full", [False, True])
def test_before_mixing_an_error_costs_what_it_costs_in_the_agents_units(full):
    """Once it is measured so that errors of one along each direction cost the identity one."""
    rng = np.random.default_rng(0)
    factor, mixing, unit = rng.normal(size=(5, 5)), rng.normal(size=(5, 5)), rng.uniform(1, 9, 5)
    matrix = factor @ factor.T if full else np.diag(rng.uniform(1, 2, 5))
    weights = np.diag(matrix)
    found = MetricWeights(tuple("abcde"), weights, per_unit=weights / unit**2,
                          matrix=matrix if full else None).before_mixing(mixing)  # fmt: skip
    for _ in range(3):
        error = rng.normal(size=5)
        seen = mixing @ (error / np.linalg.norm(mixing / unit[:, None], axis=0)) / unit
        assert error @ found.matrix @ error == pytest.approx(seen @ matrix @ seen)
    np.testing.assert_array_equal(found.weights, np.diag(found.matrix))


def test_a_metric_that_knows_nothing_weighs_what_was_mixed_alike():
    rng = np.random.default_rng(0)
    mixing, unit = np.linalg.qr(rng.normal(size=(5, 5)))[0], rng.uniform(1, 9, 5)
    found = MetricWeights(tuple("abcde"), np.ones(5), per_unit=1 / unit**2)
    weights = found.before_mixing(mixing)
    np.testing.assert_array_equal(weights.weights, 1)
    assert weights.separation([True, True, False, False, False]).ranking_auc == 0.5


def test_a_dimension_without_weight_gives_none_to_what_was_mixed_into_it():
    found = MetricWeights(("a", "b"), np.array([0.0, 2.0]), per_unit=np.array([0.0, 8.0]))
    np.testing.assert_allclose(found.before_mixing(np.eye(2)).weights, [0, 2])


def test_without_units_nothing_is_turned_back():
    with pytest.raises(ValueError, match="in the environment's units"):
        MetricWeights(("a", "b"), np.ones(2)).before_mixing(np.eye(2))


def test_what_is_said_of_another_number_of_dimensions_is_refused():
    weights = MetricWeights(("a", "b"), np.ones(2), per_unit=np.ones(2))
    with pytest.raises(ValueError, match="of 3 dimensions, and there are 2 weights"):
        weights.separation([True, False, False])
    with pytest.raises(ValueError, match=r"of shape \(3, 3\), not \(2, 2\)"):
        weights.before_mixing(np.eye(3))


def test_weights_per_unit_are_the_environments_under_an_outer_normalisation(
    make_agent, make_env, tmp_path
):
    env = VecNormalize(make_vec_env(make_env, 1))
    agent = make_agent(TaskMet, env).learn(150)
    found = agent.metric_weights()
    inner = agent.learner.state.normalizer.scale.double().numpy()
    divided_by = np.sqrt(env.obs_rms.var + env.epsilon)
    np.testing.assert_allclose(found.per_unit, found.weights * (inner / divided_by) ** 2)
    assert not np.allclose(divided_by, 1, rtol=0.1)
    agent.save(tmp_path / "agent.zip")
    assert TaskMet.load(tmp_path / "agent.zip").metric_weights().per_unit is None
    loaded = TaskMet.load(tmp_path / "agent.zip", env=env).metric_weights()
    np.testing.assert_allclose(loaded.per_unit, found.per_unit)


def test_experience_from_under_an_outer_normalisation_is_not_read_without_it(
    make_agent, make_env, tmp_path
):
    env = VecNormalize(make_vec_env(make_env, 1))
    agent = make_agent(VaGraM, env).learn(150)
    agent.save(tmp_path / "agent.zip")
    agent.save_replay_buffer(tmp_path / "replay.pkl")
    without, within = (VaGraM.load(tmp_path / "agent.zip", env=outer) for outer in (None, env))
    for loaded in (without, within):
        loaded.load_replay_buffer(tmp_path / "replay.pkl")
    for read in (without.metric_weights, without.prediction_errors):
        with pytest.raises(ValueError, match=r"load it with env=VecNormalize\.load"):
            read()
    np.testing.assert_array_equal(within.metric_weights().weights, agent.metric_weights().weights)
    np.testing.assert_array_equal(within.prediction_errors(), agent.prediction_errors())


def test_weights_that_no_transition_changes_are_read_without_an_outer_normalisation(
    make_agent, make_env, tmp_path
):
    agent = make_agent(TaskMet, VecNormalize(make_vec_env(make_env, 1))).learn(150)
    agent.save(tmp_path / "agent.zip")
    agent.save_replay_buffer(tmp_path / "replay.pkl")
    loaded = TaskMet.load(tmp_path / "agent.zip")
    loaded.load_replay_buffer(tmp_path / "replay.pkl")
    np.testing.assert_array_equal(loaded.metric_weights().weights, agent.metric_weights().weights)


def test_weights_per_unit_are_as_ever_where_only_rewards_are_normalised(
    make_agent, make_env, tmp_path
):
    agent = make_agent(TaskMet, VecNormalize(make_vec_env(make_env, 1), norm_obs=False)).learn(90)
    found, scale = agent.metric_weights(), agent.learner.state.normalizer.scale
    np.testing.assert_allclose(found.per_unit, found.weights * scale.double().numpy() ** 2)
    agent.save(tmp_path / "agent.zip")
    loaded = TaskMet.load(tmp_path / "agent.zip").metric_weights()
    np.testing.assert_array_equal(loaded.per_unit, found.per_unit)


def test_what_was_learned_without_an_outer_normalisation_is_read_without_it(
    make_agent, make_env, tmp_path
):
    agent = make_agent(VaGraM, make_vec_env(make_env, 1)).learn(150)
    agent.save(tmp_path / "agent.zip")
    agent.save_replay_buffer(tmp_path / "replay.pkl")
    env = VecNormalize(make_vec_env(make_env, 1))
    loaded = VaGraM.load(tmp_path / "agent.zip", env=env)
    loaded.load_replay_buffer(tmp_path / "replay.pkl")
    found, expected = loaded.metric_weights(), agent.metric_weights()
    np.testing.assert_array_equal(found.weights, expected.weights)
    np.testing.assert_array_equal(found.per_unit, expected.per_unit)
    np.testing.assert_array_equal(loaded.prediction_errors(), agent.prediction_errors())
    loaded.learn(150, reset_num_timesteps=False)  # from here on under it
    inner = loaded.learner.state.normalizer.scale.double().numpy()
    outer = 1 / np.sqrt(env.obs_rms.var + env.epsilon)
    found = loaded.metric_weights()
    np.testing.assert_allclose(found.per_unit, found.weights * (inner * outer) ** 2)


def test_too_few_observations_have_no_spread(make_agent):
    agent, observations = make_agent(TaskMet), np.random.default_rng(0).normal(size=(50, 6))
    agent.learner.observe(observations[:49])
    assert agent.metric_weights().per_std is None
    agent.learner.observe(observations[49:])
    found = agent.metric_weights()
    np.testing.assert_allclose(found.per_std, found.weights * observations.std(0) ** 2)
