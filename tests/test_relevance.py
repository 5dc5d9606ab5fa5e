"""Gates and priors against their equations, and what the levels learn through them."""

import math
from dataclasses import replace

import pytest
import torch

from cases import (
    ByAutograd,
    N,
    applied_gradient,
    assert_close,
    dense_hypergradient,
    draw_batch,
    draw_state,
    draws,
    every_normalized_metric,
    generator,
    parametrized,
    small_update,
)
from mbrl_taskmet.agents.soft_q import SoftQ
from mbrl_taskmet.agents.vagram import VaGraMUpdate
from mbrl_taskmet.agents.vep import VEPUpdate
from mbrl_taskmet.hypergradient import GaussNewton, ImplicitGradient, PredictionProblem
from mbrl_taskmet.linear_solvers import Exact
from mbrl_taskmet.mlp import MLP
from mbrl_taskmet.normalizer import standardizer
from mbrl_taskmet.relevance import (
    AllAlike,
    CriticSensitivity,
    GatesOnly,
    Given,
    Predictability,
    PriorOnly,
    agreed_sensitivity,
)
from mbrl_taskmet.trilevel import TaskGradientUpdate, TaskMetUpdate

BATCH, TASK_BATCH = draw_batch(1), draw_batch(2)
EVIDENCE = torch.tensor([0.04, 0.5, 0.11], dtype=torch.float64)
SENSITIVITY = CriticSensitivity(threshold=0.2, floor=0.05, rate=0.25)
ONES = torch.ones(N, dtype=torch.float64)

every_relevance = parametrized(
    "relevance", {"sensitivity": SENSITIVITY, "predictability": Predictability(0.1, 0.25)}
)


def gates_of(relevance):
    return relevance.judge(EVIDENCE).gates


def prior_of(relevance):
    return relevance.judge(EVIDENCE).prior


def seeing(relevance, state):
    """A state that has gathered the evidence."""
    return state._replace(sight=relevance.judge(EVIDENCE))


def test_if_all_are_alike_nothing_is_gated_weighed_or_gathered():
    update = small_update(relevance=AllAlike())
    state = update.init(generator(), torch.float64)
    assert torch.equal(update.look_at(state, BATCH).observations, BATCH.observations)
    phi = state.metric
    assert torch.equal(update.metric_at(state).weights(phi, None), update.metric.weights(phi, None))
    assert not update.fit(state, BATCH)[0].sight.evidence.any()


def test_sensitivity_gates_are_the_closed_form():
    share = EVIDENCE / 0.5
    expected = 0.05 + 0.95 * share**2 / (share**2 + 0.2**2)
    assert_close(gates_of(SENSITIVITY), expected)
    assert_close(prior_of(SENSITIVITY), expected**2 * math.sqrt(N) / (expected**2).norm())


def test_sensitivity_gates_do_not_depend_on_the_units_of_the_value():
    assert_close(SENSITIVITY.gates(1e-9 * EVIDENCE), SENSITIVITY.gates(EVIDENCE))


@pytest.mark.parametrize("evidence", [0 * EVIDENCE, -EVIDENCE])
def test_gates_are_open_before_anything_is_known(evidence):
    assert_close(SENSITIVITY.gates(evidence), ONES)


def test_disagreement_between_critics_closes_a_gate_to_its_floor():
    evidence = torch.tensor([1.0, -0.3, 0.0], dtype=torch.float64)
    assert_close(SENSITIVITY.gates(evidence)[1:], 0.05 * ONES[1:])


def test_predictability_gates_and_weighs_by_the_error():
    assert_close(gates_of(Predictability()), 1 - EVIDENCE)
    assert_close(Predictability(floor=0.2).gates(1 + EVIDENCE), 0.2 * ONES)
    weights = 1 / torch.tensor([0.1, 0.5, 0.11], dtype=torch.float64)
    assert_close(prior_of(Predictability(least=0.1)), weights * math.sqrt(N) / weights.norm())


@pytest.mark.parametrize("power", [0.0, 4.0])
@pytest.mark.parametrize("num_critics", [2, 3])
def test_sensitivity_is_the_mean_product_of_two_critics_gradients(num_critics, power):
    """Times a power of their correlation, where they agree."""
    update = small_update()
    critic = SoftQ(update.critic.network, 0.5, num_critics)
    state = seeing(SENSITIVITY, draw_state(update))
    omega = critic.init(generator(3), torch.float64)
    policy = torch.softmax(critic.network(omega, BATCH.observations).amin(0) / 0.5, -1)
    gradients = []
    for index in range(num_critics):
        seen = BATCH.observations.clone().requires_grad_()
        value = (policy * critic.network(omega[index : index + 1], seen)[0]).sum()
        gradients.append(torch.autograd.grad(value, seen)[0])
    pairs = [(gradients[i], gradients[j]) for i in range(num_critics) for j in range(i)]
    products = [(one * other).mean(0) for one, other in pairs]
    correlations = [
        product / ((one**2).mean(0) * (other**2).mean(0)).sqrt()
        for product, (one, other) in zip(products, pairs, strict=True)
    ]
    counted = [s * r.clamp_min(0) ** power for s, r in zip(products, correlations, strict=True)]
    expected = sum(counted) / len(pairs)
    state = state._replace(target_critic=omega)
    relevance = replace(SENSITIVITY, agreement=power)
    found = relevance.observe(update.model, critic, state, BATCH)
    assert_close(found, 0.75 * EVIDENCE + 0.25 * expected)


@pytest.mark.parametrize("input_scale", [1.0, 0.1])
def test_untrained_critics_do_not_agree_on_average(input_scale):
    """The product has mean zero up to chance, and is smaller than the square of either."""
    n = 2_000
    critic = SoftQ(MLP((n, 32, 32, 2), input_scale), 0.01)
    omega, observations = critic.init(generator(), torch.float64), draws()(64, n)
    products = critic.sensitivities(omega, None, observations, None)
    agreement, square = products[0, 1], (products[0, 0] + products[1, 1]) / 2
    assert agreement.mean().abs() < 4 * agreement.std() / math.sqrt(n)
    assert agreement.mean().abs() < 0.05 * square.mean()
    assert agreement.abs().mean() < 0.75 * square.mean()


def test_one_critic_cannot_agree():
    update = small_update()
    critic = SoftQ(update.critic.network, 0.5, num_critics=1)
    state = draw_state(update)
    with pytest.raises(ValueError, match="use an ensemble of two or more"):
        SENSITIVITY.observe(
            update.model, critic, state._replace(target_critic=state.critic[:1]), BATCH
        )


def test_predictability_observes_the_models_errors():
    update = small_update(relevance=Predictability(rate=0.25))
    state = seeing(update.relevance, draw_state(update))
    predicted, _ = ByAutograd(update).predictions(state.model, BATCH)
    errors = (predicted - BATCH.next_observations).square().mean(0)
    found = update.relevance.observe(update.model, update.critic, state, BATCH)
    assert_close(found, 0.75 * EVIDENCE + 0.25 * errors)


def test_networks_see_the_state_through_the_gates_and_the_model_predicts_it_whole():
    normalizer = standardizer(0.3 * draws(8)(N), 1 + draws(9)(N).abs())
    update = small_update(relevance=SENSITIVITY)
    state = seeing(update.relevance, draw_state(update))._replace(normalizer=normalizer)
    seen = update.look_at(state, BATCH)
    assert_close(seen.observations, gates_of(SENSITIVITY) * normalizer(BATCH.observations))
    assert_close(seen.next_observations, normalizer(BATCH.next_observations))


@every_relevance
@pytest.mark.parametrize("kind", [VEPUpdate, VaGraMUpdate])
def test_other_models_learn_values_through_the_gates(kind, relevance):
    """To a value that does not see a dimension, it does not matter."""
    closed = Given((1.0, 1.0, 0.0))
    update = small_update(kind, relevance=closed)
    state = draw_state(update)
    other = BATCH._replace(next_observations=BATCH.next_observations + torch.tensor([0, 0, 1.0]))
    first, second = (
        update.fit_model(state, update.look_at(state, batch))[0].model for batch in (BATCH, other)
    )
    assert torch.equal(first, second)
    through = small_update(kind, relevance=relevance)
    evident = seeing(relevance, state)
    assert not torch.equal(
        through.fit_model(evident, through.look_at(evident, BATCH))[0].model, first
    )


@every_relevance
def test_value_equivalence_reaches_the_model_through_the_gates(relevance):
    update = small_update(VEPUpdate, relevance=relevance)
    state = seeing(update.relevance, draw_state(update))
    reference, seen = ByAutograd(update, gates_of(relevance)), update.look_at(state, BATCH)
    after, _ = update.fit_model(state, seen)
    theta = state.model.clone().requires_grad_()
    predicted, rewards = reference.predictions(theta, seen)
    values, actual = (
        reference.value(state.target_critic, reference.gates * observations)
        for observations in (predicted, seen.next_observations)
    )
    value_errors = (1 - seen.terminations) * (values - actual)
    loss = value_errors.square().mean() + (rewards - seen.rewards).square().mean()
    (expected,) = torch.autograd.grad(loss, theta)
    assert_close(applied_gradient(after.model_moments), expected)


@every_relevance
def test_critic_learns_from_gated_states(relevance):
    update = small_update(relevance=relevance)
    state = seeing(update.relevance, draw_state(update))
    reference, seen = ByAutograd(update, gates_of(relevance)), update.look_at(state, BATCH)
    after, _ = update.fit_critic(state, seen)
    omega = state.critic.clone().requires_grad_()
    loss = reference.model_bellman_error(omega, state.model, state.target_critic, seen)
    (expected,) = torch.autograd.grad(loss, omega)
    assert_close(applied_gradient(after.critic_moments), expected)


@every_relevance
@pytest.mark.parametrize("centred", [True, False])
def test_task_gradient_through_gates_is_that_of_autograd(relevance, centred):
    update = small_update(TaskGradientUpdate, relevance=relevance, centred=centred)
    state = seeing(update.relevance, draw_state(update))
    seen = update.look_at(state, BATCH)
    expected = ByAutograd(update, gates_of(relevance)).task_gradient(state, seen)
    assert expected.norm() > 1e-3
    assert_close(update.task_gradient(state, seen)[0], expected)


@every_relevance
@every_normalized_metric
def test_metric_steps_along_the_dense_hypergradient_under_the_prior(relevance, metric):
    update = small_update(
        TaskMetUpdate,
        metric,
        relevance=relevance,
        hypergradient=ImplicitGradient(Exact(), GaussNewton(), 0.5),
    )
    state = seeing(update.relevance, draw_state(update))
    batch, task_batch = update.look_at(state, BATCH), update.look_at(state, TASK_BATCH)
    after, _ = update.learn_from_task(state, batch, task_batch)
    problem = PredictionProblem(
        update.model.dynamics,
        metric.scaled(prior_of(relevance)),
        batch.model_inputs,
        batch.next_observations,
    )
    size = update.model.dynamics.num_parameters
    task_gradient = ByAutograd(update, gates_of(relevance)).task_gradient(state, task_batch)
    expected = dense_hypergradient(
        problem, state.model[:size], state.metric, task_gradient[:size], GaussNewton(), 0.5
    )
    found = applied_gradient(after.metric_moments)
    assert_close(found, expected, rtol=1e-6, atol=1e-9)


@every_relevance
def test_gates_move_at_the_critics_pace(relevance):
    """A quarter as far, if a quarter of the critic's rate is in force."""
    update = small_update(relevance=relevance)
    state = seeing(relevance, draw_state(update))
    slow = state._replace(annealing=torch.tensor(0.25, dtype=torch.float64))
    # What is seen depends on the critic after its own, slower step.
    fitted, _ = update.fit(slow, BATCH)
    gathered = relevance.observe(
        update.model, update.critic, seeing(relevance, fitted), update.look_at(state, BATCH)
    )
    assert_close(fitted.sight.evidence, 0.75 * EVIDENCE + 0.25 * gathered)
    assert_close(fitted.sight.gates, relevance.gates(fitted.sight.evidence))


@every_relevance
def test_one_update_looks_through_one_set_of_gates(relevance):
    """New evidence counts from the next update on."""
    update = small_update(TaskMetUpdate, relevance=relevance, hypergradient=ImplicitGradient())
    state = seeing(update.relevance, draw_state(update))
    after, _ = update(state, BATCH, TASK_BATCH)
    batch, task_batch = update.look_at(state, BATCH), update.look_at(state, TASK_BATCH)
    fitted, _ = update.fit(state, BATCH)
    expected, _ = update.learn_from_task(seeing(relevance, fitted), batch, task_batch)
    assert_close(after.metric, expected.metric)
    assert_close(
        after.sight.evidence,
        relevance.observe(update.model, update.critic, seeing(relevance, fitted), batch),
    )
    assert not torch.isclose(after.sight.evidence, EVIDENCE).any()


def test_given_gates_are_seen_and_their_square_is_the_prior():
    given = Given((1.0, 0.1, 0.0))
    assert_close(gates_of(given), torch.tensor([1.0, 0.1, 0.0], dtype=torch.float64))
    weights = torch.tensor([1.0, 0.01, 0.0], dtype=torch.float64)
    assert_close(prior_of(given), weights * math.sqrt(N) / weights.norm())
    update = small_update(relevance=given)
    state = update.init(generator(), torch.float64)
    assert not update.fit(state, BATCH)[0].sight.evidence.any()


def test_gates_and_prior_can_be_had_apart():
    gates, prior = GatesOnly(SENSITIVITY), PriorOnly(SENSITIVITY)
    assert_close(gates_of(gates), gates_of(SENSITIVITY))
    assert_close(prior_of(gates), ONES)
    assert_close(gates_of(prior), ONES)
    assert_close(prior_of(prior), prior_of(SENSITIVITY))
    update = small_update()
    state = seeing(update.relevance, draw_state(update))
    arguments = update.model, update.critic, state, BATCH
    for part in (gates, prior):
        assert_close(part.observe(*arguments), SENSITIVITY.observe(*arguments))


@pytest.mark.parametrize(
    "gates", [(), (0.0, 0.0), (1.0, -0.1), (1.0, 1.1), (1.0, math.nan), 1.0, (1.0, "a")]
)
def test_impossible_gates_are_refused(gates):
    with pytest.raises(ValueError, match="Gates must be numbers from 0 to 1, and one above 0"):
        Given(gates)


@pytest.mark.parametrize("wrap", [lambda given: given, GatesOnly, PriorOnly])
@pytest.mark.parametrize("gates", [(1.0,), (1.0, 0.5, 0.2, 0.1)])
def test_gates_for_another_number_of_dimensions_are_refused(wrap, gates):
    with pytest.raises(ValueError, match=f"{len(gates)} gates for 3 dimensions: give one each"):
        small_update(relevance=wrap(Given(gates)))


@pytest.mark.parametrize("bound", ["threshold", "floor", "rate"])
@pytest.mark.parametrize("value", [0.0, -0.1, 1.5, math.nan, True, "x"])
def test_impossible_sensitivities_are_refused(bound, value):
    with pytest.raises(ValueError, match=f"{bound} must be above 0 and at most 1"):
        CriticSensitivity(**{bound: value})


@pytest.mark.parametrize("power", [-0.1, math.inf, math.nan, True, "x"])
def test_impossible_powers_of_agreement_are_refused(power):
    with pytest.raises(ValueError, match="agreement is a power, such as 4, and at least 0"):
        CriticSensitivity(agreement=power)


def test_a_sensitivity_counts_by_the_power_of_the_correlation():
    """Of one third; of minus one third; and where no critic feels anything."""
    sizes = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    shared = torch.tensor([2.0, -2.0, 0.0], dtype=torch.float64)
    products = torch.stack([4 * sizes, shared, shared, 9 * sizes]).view(2, 2, 3)
    assert torch.equal(agreed_sensitivity(products), shared)
    expected = torch.tensor([2 / 3**4, 0.0, 0.0], dtype=torch.float64)
    assert_close(agreed_sensitivity(products, 4), expected)


@pytest.mark.parametrize("bound", ["least", "floor", "rate"])
@pytest.mark.parametrize("value", [0.0, -0.1, 1.5, math.nan])
def test_impossible_predictabilities_are_refused(bound, value):
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        Predictability(**{bound: value})
