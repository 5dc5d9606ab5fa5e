"""The soft actor-critic against its equations, autograd and Stable-Baselines3's distribution."""

import pytest
import torch
from stable_baselines3.common.distributions import SquashedDiagGaussianDistribution

from cases import N, applied_gradient, assert_close, draw_batch, draw_metric, draws, generator
from mbrl_taskmet.adam import Adam
from mbrl_taskmet.agents.sac import SoftActorCritic
from mbrl_taskmet.dynamics import DynamicsModel
from mbrl_taskmet.forms import Diagonal
from mbrl_taskmet.hypergradient import ImplicitGradient
from mbrl_taskmet.metric import UnconditionalMetric
from mbrl_taskmet.mlp import MLP
from mbrl_taskmet.relevance import CriticSensitivity
from mbrl_taskmet.trilevel import ModelBasedUpdate, TaskGradientUpdate, TaskMetUpdate

D, ALPHA = 2, 0.3
CRITIC = SoftActorCritic(MLP((N + D, 6, 5, 1)), MLP((N, 5, 2 * D)), temperature=ALPHA)
normal = draws(11)
BATCH, TASK_BATCH = (
    batch._replace(
        actions=torch.tanh(normal(len(batch.rewards), D)), noise=normal(len(batch.rewards), D)
    )
    for batch in (draw_batch(1), draw_batch(2))
)
OMEGA = CRITIC.init(generator(1), torch.float64)
PSI = CRITIC.init_policy(generator(2), torch.float64)
SEEN = BATCH.observations, BATCH.noise


def act(psi, observations, noise):
    """The action and log π, the normal's density in its own units: a tiny σ would cancel."""
    mean, log_std = CRITIC.actor(psi[:-1], observations).chunk(2, -1)
    log_std = log_std.clamp(-20, 2)
    before = mean + log_std.exp() * noise
    squash = torch.distributions.TanhTransform()
    log_normal = torch.distributions.Normal(0.0, 1.0).log_prob(noise) - log_std
    log_slope = squash.log_abs_det_jacobian(before, None)
    return torch.tanh(before), (log_normal - log_slope).sum(-1)


def action_values(omega, observations, actions):
    return CRITIC.network(omega, torch.cat([observations, actions], 1))[..., 0]


def value(omega, psi, observations, noise):
    """V(s)."""
    actions, log_probabilities = act(psi, observations, noise)
    lowest = action_values(omega, observations, actions).amin(0)
    return lowest - psi[-1].exp() * log_probabilities


def wide(psi):
    """Actions far out, where tanh is flat, and some deviations beyond their range."""
    return torch.cat([9 * psi[:-1], psi[-1:]])


every_width = pytest.mark.parametrize("widen", [lambda psi: psi, wide])


@every_width
def test_drawn_actions_and_their_probabilities_are_those_of_torch(widen):
    found = CRITIC.act(widen(PSI), *SEEN)
    actions, log_probabilities = act(widen(PSI), *SEEN)
    assert_close(found.actions, actions)
    assert_close(found.log_probabilities, log_probabilities)


def test_probabilities_are_those_of_stable_baselines3():
    mean, log_std = CRITIC.actor(PSI[:-1], BATCH.observations).chunk(2, -1)
    theirs = SquashedDiagGaussianDistribution(D, epsilon=0.0).proba_distribution(mean, log_std)
    found = CRITIC.act(PSI, *SEEN)
    assert_close(found.log_probabilities, theirs.log_prob(found.actions))


@every_width
def test_value_and_its_gradient_in_the_state_are_those_of_autograd(widen):
    observations = BATCH.observations.clone().requires_grad_()
    cotangent = draws(3)(len(BATCH.rewards))
    expected = value(OMEGA, widen(PSI), observations, BATCH.noise)
    (gradient,) = torch.autograd.grad(expected, observations, cotangent)
    found = CRITIC.linearize_value(OMEGA, widen(PSI), *SEEN)
    assert_close(found.outputs, expected.detach())
    assert_close(found.input_vjp(cotangent), gradient)


@every_width
def test_policy_descends_on_the_losses_of_soft_actor_critic(widen):
    """mean[α log π − min_j Q_j] with α held fixed, and −log α · mean[log π + H̄], H̄ = −d."""
    psi = widen(PSI).clone().requires_grad_()
    actions, log_probabilities = act(psi, *SEEN)
    lowest = action_values(OMEGA, BATCH.observations, actions).amin(0)
    loss = (psi[-1].detach().exp() * log_probabilities - lowest).mean()
    loss = loss - psi[-1] * (log_probabilities.detach() - D).mean()
    (expected,) = torch.autograd.grad(loss, psi)
    found, info = CRITIC.policy_gradient(OMEGA, widen(PSI), *SEEN)
    assert_close(found, expected)
    assert_close(info["entropy"], -log_probabilities.mean().detach())
    assert_close(info["temperature"], torch.tensor(ALPHA, dtype=torch.float64))


def test_target_entropy_can_be_chosen():
    chosen = SoftActorCritic(CRITIC.network, CRITIC.actor, ALPHA, target_entropy=0.7)
    gradients = [c.policy_gradient(OMEGA, PSI, *SEEN)[0] for c in (chosen, CRITIC)]
    assert_close(gradients[0][:-1], gradients[1][:-1])
    assert_close(gradients[0][-1] + 0.7, gradients[1][-1] - D)


def test_products_with_the_critics_jacobian_are_those_of_autograd():
    found = CRITIC.linearize(OMEGA, BATCH.observations, BATCH.actions)
    tangent, cotangent = draws(4)(*OMEGA.shape), draws(5)(2, len(BATCH.rewards))

    def values(omega):
        return action_values(omega, BATCH.observations, BATCH.actions)

    assert_close(found.outputs, values(OMEGA))
    assert_close(found.jvp(tangent), torch.func.jvp(values, (OMEGA,), (tangent,))[1])
    assert_close(found.vjp(cotangent), torch.func.vjp(values, OMEGA)[1](cotangent)[0])


def test_sensitivities_are_the_mean_products_at_the_policys_actions():
    actions, _ = act(PSI, *SEEN)
    gradients = []
    for omega in OMEGA:
        observations = BATCH.observations.clone().requires_grad_()
        values = action_values(omega, observations, actions).sum()
        gradients.append(torch.autograd.grad(values, observations)[0])
    stacked = torch.stack(gradients)
    expected = torch.einsum("jbi,kbi->jki", stacked, stacked) / len(stacked[0])
    assert_close(CRITIC.sensitivities(OMEGA, PSI, *SEEN), expected)


def make_update(kind=ModelBasedUpdate, **options):
    return kind(
        model=DynamicsModel.of_capacity(N, D, (5,)),
        critic=CRITIC,
        metric=UnconditionalMetric(Diagonal(N)),
        relevance=CriticSensitivity(),
        gamma=0.9,
        **options,
    )


def midway(update):
    """A state in the midst of training."""
    state = update.init(generator(5), torch.float64)
    return state._replace(
        target_critic=state.critic + 0.3 * draws(5)(*state.critic.shape),
        metric=draw_metric(update.metric),
        sight=update.relevance.judge(draws(6)(N).abs()),
    )


def targets(update, state, theta, batch):
    """y(θ), and y if θ is None."""
    continues = update.gamma * (1 - batch.terminations)
    if theta is None:
        following, rewards = batch.next_observations, batch.rewards
    else:
        sizes = [update.model.dynamics.num_parameters, update.model.reward.num_parameters]
        inputs = torch.cat([batch.observations, batch.actions], 1)
        dynamics, reward = theta.split(sizes)
        following, rewards = (
            update.model.dynamics(dynamics, inputs),
            update.model.reward(reward, inputs)[:, 0],
        )
    seen = state.sight.gates * following
    return rewards + continues * value(state.target_critic, state.policy, seen, batch.noise)


@pytest.mark.parametrize("centred", [True, False])
def test_task_gradient_with_the_actor_held_fixed_is_that_of_autograd(centred):
    update = make_update(TaskGradientUpdate, centred=centred)
    state = midway(update)
    theta, omega = (x.clone().requires_grad_() for x in (state.model, state.critic))
    values = action_values(omega, BATCH.observations, BATCH.actions)
    model_loss = ((values - targets(update, state, theta, BATCH)) ** 2).sum(0).mean()
    task_loss = ((values - targets(update, state, None, BATCH)) ** 2).sum(0).mean()
    (in_omega,) = torch.autograd.grad(model_loss, omega, create_graph=True)
    (v,) = torch.autograd.grad(task_loss, omega)
    v = v - in_omega.detach() if centred else v
    expected = -torch.autograd.grad(in_omega, theta, v)[0]
    found, info = update.task_gradient(state, BATCH)
    assert_close(found, expected)
    assert_close(info["task_loss"], task_loss.detach())


def test_the_policy_learns_from_the_critic_that_has_just_learned():
    update = make_update()
    state = midway(update)
    seen = update.look_at(state, BATCH)
    fitted, _ = update.fit_critic(state, seen)
    after, _ = update.fit_policy(fitted, seen)
    psi = state.policy.clone().requires_grad_()
    (expected,) = torch.autograd.grad(
        -value(fitted.critic, psi, seen.observations, seen.noise).mean(), psi
    )
    assert_close(applied_gradient(after.policy_moments)[:-1], expected[:-1])
    whole, _ = update(state, BATCH, TASK_BATCH)
    assert_close(whole.policy, after.policy)


def test_annealing_scales_the_policys_rate_as_the_critics():
    state = midway(make_update())
    expected, _ = make_update(critic_optimizer=Adam(0.005), policy_optimizer=Adam(0.005))(
        state, BATCH, BATCH
    )
    annealed = state._replace(annealing=torch.full_like(state.annealing, 0.25))
    found, _ = make_update(critic_optimizer=Adam(0.02), policy_optimizer=Adam(0.02))(
        annealed, BATCH, BATCH
    )
    assert_close(found.policy, expected.policy)
    assert_close(found.critic, expected.critic)
    assert not torch.equal(found.policy, state.policy)


def test_one_update_moves_every_level():
    update = make_update(TaskMetUpdate, hypergradient=ImplicitGradient())
    state = midway(update)
    after, info = update(state, BATCH, TASK_BATCH)
    for name in ("model", "critic", "target_critic", "policy", "metric"):
        assert not torch.isclose(getattr(after, name), getattr(state, name), atol=0, rtol=0).all()
    assert {"temperature", "entropy", "hypergradient_norm"} <= info.keys()


def test_policies_of_a_population_learn_apart():
    update = make_update(TaskMetUpdate, hypergradient=ImplicitGradient())
    states = [midway(update), midway(update)._replace(policy=0.5 * PSI)]
    stacked = torch.utils._pytree.tree_map(lambda *x: torch.stack(x), *states)
    together, _ = torch.func.vmap(update, in_dims=(0, None, None))(stacked, BATCH, TASK_BATCH)
    for index, state in enumerate(states):
        alone, _ = update(state, BATCH, TASK_BATCH)
        for one, other in zip(
            torch.utils._pytree.tree_leaves(together),
            torch.utils._pytree.tree_leaves(alone),
            strict=True,
        ):
            assert_close(one[index], other)


def test_the_temperature_starts_as_given_and_impossible_critics_are_refused():
    assert_close(PSI[-1].exp(), torch.tensor(ALPHA, dtype=torch.float64))
    with pytest.raises(ValueError, match="temperature must be positive; got 0"):
        SoftActorCritic(CRITIC.network, CRITIC.actor, temperature=0.0)
    with pytest.raises(ValueError, match="at least one critic; got 0"):
        SoftActorCritic(CRITIC.network, CRITIC.actor, num_critics=0)
