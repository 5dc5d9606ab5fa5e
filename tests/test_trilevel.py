"""Each level of an update against autograd and `torch.optim`; the update as a pure function."""

import pytest
import torch
from torch.utils._pytree import tree_leaves, tree_map

from cases import (
    A,
    ByAutograd,
    N,
    applied_gradient,
    assert_close,
    dense_hypergradient,
    draw_batch,
    draw_state,
    draws,
    every_metric,
    generator,
    parametrized,
    small_shipped_update,
    small_update,
)
from mbrl_taskmet.adam import Adam
from mbrl_taskmet.agents.model_free import ModelFreeUpdate
from mbrl_taskmet.agents.omd import OMDUpdate
from mbrl_taskmet.agents.vagram import VaGraMUpdate
from mbrl_taskmet.agents.vep import VEPUpdate
from mbrl_taskmet.forms import Cholesky, Diagonal
from mbrl_taskmet.hypergradient import (
    FullHessian,
    GaussNewton,
    ImplicitGradient,
    PredictionProblem,
    UnrolledGradient,
)
from mbrl_taskmet.linear_solvers import Exact, Identity, NormalEquationCG
from mbrl_taskmet.metric import ConditionalMetric, UnconditionalMetric
from mbrl_taskmet.mlp import MLP
from mbrl_taskmet.normalizer import standardizer
from mbrl_taskmet.relevance import Predictability
from mbrl_taskmet.trilevel import ModelBasedUpdate, TaskGradientUpdate, TaskMetUpdate

BATCH, TASK_BATCH = draw_batch(1), draw_batch(2)

every_task_gradient = pytest.mark.parametrize(
    "options",
    [
        {"centred": centred, "critic_solver": solver, "critic_damping": 0.05}
        for centred in (True, False)
        for solver in (None, Exact())
    ],
    ids=lambda o: f"{'centred' if o['centred'] else 'whole'}-{o['critic_solver']}",
)

UPDATES = {
    "mle": small_update(),
    "omd": small_update(
        OMDUpdate, model_optimizer=Adam(restart=True), critic_optimizer=Adam(restart=True)
    ),
    "vep": small_update(VEPUpdate),
    "vagram": small_update(VaGraMUpdate),
    "model_free": small_update(ModelFreeUpdate),
    "predictability": small_update(relevance=Predictability()),
    "shipped": small_shipped_update(),
    "taskmet": small_update(TaskMetUpdate, hypergradient=ImplicitGradient()),
    # Few iterations, since on so small and indefinite a system each amplifies rounding tenfold.
    "taskmet_full_hessian": small_update(
        TaskMetUpdate,
        ConditionalMetric(Cholesky(N), MLP((N + A, 4, 6))),
        hypergradient=ImplicitGradient(NormalEquationCG(3), FullHessian()),
        critic_solver=NormalEquationCG(3),
        centred=False,
    ),
}
every_update = parametrized("update", UPDATES)


def value_equivalence_loss(update, state):
    """mean_B[m (V̄(ŝ′) − V̄(s′))²] + mean_B[(r̂ − r)²] of θ and a batch."""
    reference = ByAutograd(update)

    def loss(theta, batch):
        next_observations, rewards = reference.predictions(theta, batch)
        errors = reference.value(state.target_critic, next_observations) - reference.value(
            state.target_critic, batch.next_observations
        )
        squared = (1 - batch.terminations) * errors**2
        return squared.mean() + (rewards - batch.rewards).square().mean()

    return loss


def value_gradient_weighted_loss(update, state):
    """mean_B[Σ_i w_i (ŝ′_i − s′_i)²] + mean_B[(r̂ − r)²] of θ and a batch, w_i ∝ m (∂V̄/∂s′_i)²."""
    reference = ByAutograd(update)

    def loss(theta, batch):
        actual = batch.next_observations.clone().requires_grad_()
        value = reference.value(state.target_critic, actual)
        (sensitivity,) = torch.autograd.grad(((1 - batch.terminations) * value).sum(), actual)
        weights = sensitivity**2 / (sensitivity**2).mean()
        next_observations, rewards = reference.predictions(theta, batch)
        weighted = weights * (next_observations - batch.next_observations) ** 2
        return weighted.sum(1).mean() + (rewards - batch.rewards).square().mean()

    return loss


def assert_steps_of_adam(level, parameters_of, state, loss, learning_rate, restarts=False):
    """Three steps of a level are those of `torch.optim.Adam` on autograd's gradient."""
    expected = parameters_of(state).clone().requires_grad_()
    adam = torch.optim.Adam([expected], lr=learning_rate)
    for seed in range(3):
        batch = draw_batch(seed)
        if restarts:
            adam = torch.optim.Adam([expected], lr=learning_rate)
        adam.zero_grad()
        value = loss(expected, batch)
        value.backward()
        adam.step()
        state, info = level(state, batch)
        assert_close(parameters_of(state), expected.detach())
        assert_close(next(iter(info.values())), value.detach())
    return state


whether_optimizer_restarts = pytest.mark.parametrize("restarts", [False, True])


@every_metric
@whether_optimizer_restarts
def test_fit_model_is_adam_on_the_prediction_loss(metric, restarts):
    update = small_update(metric=metric, model_optimizer=Adam(0.02, restarts))
    state = draw_state(update)
    reference = ByAutograd(update)
    after = assert_steps_of_adam(
        update.fit_model,
        lambda s: s.model,
        state,
        lambda theta, batch: reference.prediction_loss(theta, state.metric, batch),
        learning_rate=0.02,
        restarts=restarts,
    )
    assert_close(after._replace(model=state.model, model_moments=state.model_moments), state)


@whether_optimizer_restarts
def test_fit_critic_is_adam_on_the_bellman_error_in_the_model(restarts):
    """With ω̄ held fixed, which the next test lets go."""
    update = small_update(critic_optimizer=Adam(0.02, restarts))
    state = draw_state(update)
    reference = ByAutograd(update)

    def fit_critic(before, batch):
        after, info = update.fit_critic(before, batch)
        return after._replace(target_critic=state.target_critic), info

    after = assert_steps_of_adam(
        fit_critic,
        lambda s: s.critic,
        state,
        lambda omega, batch: reference.model_bellman_error(
            omega, state.model, state.target_critic, batch
        ),
        learning_rate=0.02,
        restarts=restarts,
    )
    assert_close(after._replace(critic=state.critic, critic_moments=state.critic_moments), state)


def test_without_a_model_the_critic_is_adam_on_the_true_bellman_error():
    update = small_update(ModelFreeUpdate, critic_optimizer=Adam(0.02))
    state, reference = draw_state(update), ByAutograd(update)

    def fit_critic(before, batch):
        after, info = update.fit_critic(before, batch)
        return after._replace(target_critic=state.target_critic), info

    assert_steps_of_adam(
        fit_critic,
        lambda s: s.critic,
        state,
        lambda omega, batch: reference.task_loss(omega, state.target_critic, batch),
        learning_rate=0.02,
    )


def test_annealing_scales_the_rate_of_the_critic_and_of_no_other_level():
    quarter = torch.tensor(0.25, dtype=torch.float64)
    slow, update = (
        small_update(critic_optimizer=Adam(0.005)),
        small_update(critic_optimizer=Adam(0.02)),
    )
    state = draw_state(update)
    expected, _ = slow(state, BATCH, BATCH)
    annealed, _ = update(state._replace(annealing=quarter), BATCH, BATCH)
    assert_close(annealed._replace(annealing=state.annealing), expected)


def test_fit_critic_averages_the_target_with_the_new_critic():
    update = small_update()
    before = draw_state(update)
    after, _ = update.fit_critic(before, BATCH)
    assert_close(after.target_critic, 0.95 * before.target_critic + 0.05 * after.critic)
    assert not torch.isclose(after.critic, before.critic).all()


def test_value_gradient_weighting_is_adam_on_the_weighted_errors():
    update = small_update(VaGraMUpdate, model_optimizer=Adam(0.02))
    state = draw_state(update)
    loss = value_gradient_weighted_loss(update, state)
    assert_steps_of_adam(update.fit_model, lambda s: s.model, state, loss, learning_rate=0.02)


def test_value_equivalence_is_adam_on_the_difference_of_values():
    update = small_update(VEPUpdate, model_optimizer=Adam(0.02))
    state = draw_state(update)
    loss = value_equivalence_loss(update, state)
    assert_steps_of_adam(update.fit_model, lambda s: s.model, state, loss, learning_rate=0.02)


@every_task_gradient
def test_task_gradient_is_that_of_autograd(options):
    update = small_update(TaskGradientUpdate, **options)
    state = draw_state(update)
    gradient, info = update.task_gradient(state, BATCH)
    reference = ByAutograd(update)
    assert_close(gradient, reference.task_gradient(state, BATCH))
    assert_close(info["task_loss"], reference.task_loss(state.critic, state.target_critic, BATCH))


def test_task_gradient_at_a_fitted_critic_is_that_of_its_targets_error():
    """mean_B[Σ_j (y(θ) − y)²], whatever the critic."""
    update = small_update(TaskGradientUpdate, fitted_critic=True)
    state, reference = draw_state(update), ByAutograd(update)
    theta = state.model.clone().requires_grad_()
    modelled = reference.model_targets(theta, state.target_critic, BATCH)
    errors = modelled - reference.true_targets(state.target_critic, BATCH).detach()
    loss = len(state.critic) * errors.square().mean()
    assert_close(update.task_gradient(state, BATCH)[0], torch.autograd.grad(loss, theta)[0])


@pytest.mark.parametrize("centred", [True, False])
def test_a_fitted_critic_is_what_solving_exactly_for_a_rich_one_comes_to(centred):
    """Of few transitions, so that no two of them move the critic alike."""
    solved, fitted = (
        small_update(TaskGradientUpdate, centred=centred, **options)
        for options in (
            {"critic_solver": Exact(), "critic_damping": 1e-9},
            {"fitted_critic": True},
        )
    )
    state, few = draw_state(solved), BATCH._make(part[:2] for part in BATCH)
    expected, _ = solved.task_gradient(state, few)
    assert_close(fitted.task_gradient(state, few)[0], expected, rtol=1e-5, atol=1e-8)


def test_task_gradient_vanishes_in_a_perfect_model_if_centred():
    """Whatever the critic; the whole one blames the model for the critic's error."""
    centred, whole = (small_update(TaskGradientUpdate, centred=c) for c in (True, False))
    state = draw_state(centred)
    next_observations, rewards = ByAutograd(centred).predictions(state.model, BATCH)
    modelled = BATCH._replace(next_observations=next_observations, rewards=rewards)
    assert_close(centred.task_gradient(state, modelled)[0], torch.zeros_like(state.model))
    assert whole.task_gradient(state, modelled)[0].norm() > 1e-2


@every_task_gradient
def test_omd_steps_along_the_task_gradient_alone(options):
    update = small_update(OMDUpdate, **options)
    before = draw_state(update)
    assert torch.equal(update.fit_model(before, BATCH)[0].model, before.model)
    fitted, _ = update.fit(before, BATCH)
    after, _ = update(before, BATCH, TASK_BATCH)
    expected = ByAutograd(update).task_gradient(fitted, TASK_BATCH)
    assert_close(applied_gradient(after.model_moments), expected)
    assert_close(after.metric, before.metric)


@every_task_gradient
@every_metric
@pytest.mark.parametrize("curvature", [GaussNewton(), FullHessian()], ids=["gn", "full"])
def test_metric_steps_along_the_dense_hypergradient(metric, options, curvature):
    """g_θ on the task batch, the model's optimality condition on the other, after both fits."""
    update = small_update(
        TaskMetUpdate,
        metric,
        hypergradient=ImplicitGradient(Exact(), curvature, 0.5),
        metric_optimizer=Adam(0.1),
        **options,
    )
    before = draw_state(update)
    fitted, _ = update.fit(before, BATCH)
    after, info = update(before, BATCH, TASK_BATCH)

    problem = PredictionProblem(
        update.model.dynamics,
        metric,
        BATCH.model_inputs,
        BATCH.next_observations,
    )
    size = update.model.dynamics.num_parameters
    task_gradient = ByAutograd(update).task_gradient(fitted, TASK_BATCH)
    expected = dense_hypergradient(
        problem, fitted.model[:size], fitted.metric, task_gradient[:size], curvature, 0.5
    )
    tolerance = {"rtol": 1e-6, "atol": 1e-9}
    assert_close(applied_gradient(after.metric_moments), expected, **tolerance)
    assert_close(info["hypergradient_norm"], expected.norm(), **tolerance)
    phi = before.metric.clone()
    phi.grad = expected
    torch.optim.Adam([phi], lr=0.1).step()
    large = expected.abs() > 1e-4  # Where Adam's first step is not its ε's.
    assert large.any()
    assert_close(after.metric[large], phi[large], rtol=1e-5, atol=0)
    assert_close(
        after._replace(metric=None, metric_moments=None),
        fitted._replace(metric=None, metric_moments=None),
    )


@every_update
@pytest.mark.parametrize("terminated", [True, False])
def test_only_transitions_that_did_not_terminate_bootstrap(update, terminated):
    """A truncated transition has no mark of its own: it reads as one that goes on."""
    ends = torch.full_like(BATCH.terminations, float(terminated))
    batch = BATCH._replace(terminations=ends)
    state = draw_state(update)
    changed = state._replace(target_critic=state.target_critic + 0.5)
    feels_the_future = not torch.equal(
        update(state, batch, batch)[0].critic, update(changed, batch, batch)[0].critic
    )
    assert feels_the_future is not terminated


@every_update
def test_update_is_a_pure_function(update):
    arguments = draw_state(update), BATCH, TASK_BATCH
    copies = tree_map(torch.clone, arguments)
    first, again = update(*arguments), update(*arguments)
    with torch.no_grad():
        untaped = update(*arguments)
    for found in (again, untaped):
        assert all(map(torch.equal, tree_leaves(found), tree_leaves(first)))
    assert all(map(torch.equal, tree_leaves(arguments), tree_leaves(copies)))
    assert not any(leaf.requires_grad for leaf in tree_leaves(first))


@every_update
def test_update_keeps_shapes_and_dtypes_and_reports_scalars(update):
    before = update.init(torch.Generator(), torch.float32)
    batch = tree_map(torch.Tensor.float, BATCH)
    after, info = update(before, batch, batch)
    for old, new in zip(tree_leaves(before), tree_leaves(after), strict=True):
        assert (new.shape, new.dtype) == (old.shape, old.dtype)
    assert all(value.shape == () and value.isfinite() for value in info.values())


@every_update
def test_updating_a_population_at_once_is_updating_one_by_one(update):
    population = [
        (draw_state(update, seed), draw_batch(2 * seed), draw_batch(2 * seed + 1))
        for seed in range(3)
    ]
    together = torch.func.vmap(update)(*tree_map(lambda *parts: torch.stack(parts), *population))
    for index, member in enumerate(population):
        found = tree_map(lambda leaf, index=index: leaf[index], together)
        assert_close(found, update(*member))


def test_the_metric_stays_within_its_bounds():
    metric = UnconditionalMetric(Diagonal(N, normalize=False, largest=1.5))
    update = small_update(
        TaskMetUpdate, metric, hypergradient=ImplicitGradient(), metric_optimizer=Adam(10.0)
    )
    after, _ = update(update.init(generator(), torch.float64), BATCH, TASK_BATCH)
    weights = metric.weights(after.metric, None)
    bounds = torch.tensor([1 / 1.5, 1.5], dtype=torch.float64)
    assert_close(weights, bounds[(weights > 1).int()])


def test_maximum_likelihood_learns_nothing_from_the_task():
    update = small_update(ModelBasedUpdate)
    state = draw_state(update)
    assert_close(update(state, BATCH, TASK_BATCH), update.fit(state, BATCH))


def test_one_unrolled_step_in_the_loop_is_the_identity_solve_times_its_learning_rate():
    estimators = UnrolledGradient(1, 0.01), ImplicitGradient(Identity(), damping=0.0)
    updates = [small_update(TaskMetUpdate, hypergradient=estimator) for estimator in estimators]
    state = draw_state(updates[0])
    unrolled, implicit = (
        applied_gradient(update(state, BATCH, TASK_BATCH)[0].metric_moments) for update in updates
    )
    assert unrolled.norm() > 1e-4
    assert_close(unrolled, 0.01 * implicit)


@every_update
def test_reported_model_error_is_the_plain_mean_square(update):
    state = draw_state(update)
    seen = update.look_at(state, BATCH)
    predicted, _ = ByAutograd(update).predictions(state.model, seen)
    _, info = update(state, BATCH, TASK_BATCH)
    assert_close(info["model_mse"], (predicted - BATCH.next_observations).square().mean())


@every_update
def test_normalizing_in_the_update_is_normalizing_what_it_reads(update):
    normalizer = standardizer(0.3 * draws(8)(N), 1 + draws(9)(N).abs())
    state = draw_state(update)
    inside, info = update(state._replace(normalizer=normalizer), BATCH, TASK_BATCH)
    outside, expected = update(state, normalizer.normalize(BATCH), normalizer.normalize(TASK_BATCH))
    assert_close(inside._replace(normalizer=state.normalizer), outside)
    assert_close(info, expected)


def test_fitting_alone_is_the_whole_update_without_the_task():
    update, normalizer = UPDATES["taskmet"], standardizer(draws(8)(N), 1 + draws(9)(N).abs())
    state = draw_state(update)._replace(normalizer=normalizer)
    fitted, _ = update.fit(state, BATCH)
    whole, _ = update(state, BATCH, TASK_BATCH)
    before = {"metric": state.metric, "metric_moments": state.metric_moments}
    assert_close(whole._replace(**before), fitted)
