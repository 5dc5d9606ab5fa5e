"""The tri-level loop: min_φ L_task(ω*(θ*(φ))), one step on each level.

`ModelBasedUpdate` is the frame that all agents share: a step on the model, a step on the critic
in that model and on its policy, and a step that the task asks for. What an agent does otherwise
than maximum likelihood it says by overriding one of its steps, such as `fit_model`, `weigh`,
`critic_targets` or `learn_from_task`; `TaskMetUpdate` does the last, with the metric. An
update is a pure function of tensors: no hidden state, no autograd tape, no decision that depends on
a number.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from mbrl_taskmet.adam import Adam
from mbrl_taskmet.batch import Batch
from mbrl_taskmet.critic import Critic, CriticLinearization, ValueLinearization
from mbrl_taskmet.dynamics import DynamicsModel
from mbrl_taskmet.hypergradient import (
    Hypergradient,
    HypergradientEstimator,
    PredictionProblem,
    UnrolledGradient,
)
from mbrl_taskmet.linear_solvers import LinearSolver
from mbrl_taskmet.losses import bellman_error, bellman_target, prediction_loss
from mbrl_taskmet.metric import Metric
from mbrl_taskmet.relevance import AllAlike, Relevance
from mbrl_taskmet.train_state import Info, TrainState, train_state


@dataclass(frozen=True, kw_only=True)
class ModelBasedUpdate:
    """One step of maximum-likelihood model learning and of the critic that lives in the model.

    Attributes:
        model: f_θ and r̂_θ.
        critic: Q_ω and its soft value.
        metric: Λ_φ; at its initial φ the identity, so that L_pred is the mean squared error.
        relevance: tells early which dimensions matter, by gates and a prior for the metric.
        gamma: γ, the discount.
        tau: τ, the step of Polyak averaging.
        model_optimizer: of θ.
        critic_optimizer: of ω, its rate before annealing.
        policy_optimizer: of ψ, its rate before annealing.
    """

    model: DynamicsModel
    critic: Critic
    metric: Metric
    relevance: Relevance = field(default_factory=AllAlike)
    gamma: float = 0.99
    tau: float = 0.01
    model_optimizer: Adam = field(default_factory=Adam)
    critic_optimizer: Adam = field(default_factory=Adam)
    policy_optimizer: Adam = field(default_factory=Adam)

    def __post_init__(self) -> None:
        self.relevance.check(self.model.num_observations)

    @property
    def compiles(self) -> bool:
        """Whether all of it can become one graph, as its two inner levels by themselves can."""
        return True

    def init(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> TrainState:
        """Draw a fresh state."""
        nothing_known = torch.zeros(self.model.num_observations, dtype=dtype)
        return train_state(
            self.model.init(generator, dtype),
            self.critic.init(generator, dtype),
            self.critic.init_policy(generator, dtype),
            self.metric.init(generator, dtype),
            self.relevance.judge(nothing_known),
        )

    def __call__(
        self, state: TrainState, batch: Batch, task_batch: Batch
    ) -> tuple[TrainState, Info]:
        """One step on each level.

        Args:
            state: before the update.
            batch: for the model, the critic and the model's optimality condition.
            task_batch: for the task loss. Independent of `batch`, it keeps the sampling noise
                of the one out of the other; the paper passes the same batch twice.

        Returns:
            The state after the update, and scalars to log.
        """
        batch = self.look_at(state, batch)
        state, info = self._fit(state, batch)
        task_batch = self.look_at(state, task_batch)
        state, task_info = self.learn_from_task(state, batch, task_batch)
        return self._gather_evidence(state, batch), info | task_info

    def fit(self, state: TrainState, batch: Batch) -> tuple[TrainState, Info]:
        """The two inner levels alone: the model, and the critic with its policy in the model."""
        batch = self.look_at(state, batch)
        state, info = self._fit(state, batch)
        return self._gather_evidence(state, batch), info

    def look_at(self, state: TrainState, batch: Batch) -> Batch:
        """A batch as the networks read it: s through the normaliser and the gates.

        s′ stays without gates, since the model predicts it; `see` puts them before the critic.
        """
        batch = state.normalizer.normalize(batch)
        return batch._replace(observations=self.see(state, batch.observations))

    def see(self, state: TrainState, observations: Tensor) -> Tensor:
        """What model and critic see of normalised observations, (B, n) → (B, n).

        A diagonal linear map, so that it also carries gradients in what is seen back.
        """
        return state.sight.gates * observations

    def metric_at(self, state: TrainState) -> Metric:
        """Λ with its prior."""
        return self.metric.scaled(state.sight.prior)

    def _fit(self, state: TrainState, batch: Batch) -> tuple[TrainState, Info]:
        state, model_info = self.fit_model(state, batch)
        state, critic_info = self.fit_critic(state, batch)
        state, policy_info = self.fit_policy(state, batch)
        return state, model_info | critic_info | policy_info

    def _gather_evidence(self, state: TrainState, batch: Batch) -> TrainState:
        """Last, so that one update looks through one set of gates.

        What is gathered counts as far as the critic still learns, which could not make up for gates
        that close before it.
        """
        gathered = self.relevance.observe(self.model, self.critic, state, batch)
        evidence = torch.lerp(state.sight.evidence, gathered, state.annealing)
        return state._replace(sight=self.relevance.judge(evidence))

    def fit_model(self, state: TrainState, batch: Batch) -> tuple[TrainState, Info]:
        """θ ← Adam on L_pred(θ, φ)."""
        model = self.model.linearize(state.model, batch.model_inputs)
        errors = model.next_observations - batch.next_observations
        reward_errors = model.rewards - batch.rewards
        weighted_errors = self.weigh(state, batch, errors)
        scale = 2 / batch.rewards.shape[0]
        gradient = model.vjp(scale * weighted_errors, scale * reward_errors)
        info = {
            "model_loss": prediction_loss(errors, weighted_errors, reward_errors),
            "model_mse": errors.square().mean(),
        }
        return self.step_model(state, gradient), info

    def weigh(self, state: TrainState, batch: Batch, errors: Tensor) -> Tensor:
        """Λ (ŝ′ − s′), the errors as the model's loss counts them: (B, n) → (B, n)."""
        return self.metric_at(state).apply(state.metric, batch.model_inputs, errors)

    def step_model(self, state: TrainState, gradient: Tensor) -> TrainState:
        """θ ← Adam(gradient)."""
        parameters, moments = self.model_optimizer.step(state.model, gradient, state.model_moments)
        return state._replace(model=parameters, model_moments=moments)

    def fit_critic(self, state: TrainState, batch: Batch) -> tuple[TrainState, Info]:
        """ω ← Adam on L_Q(ω, θ), ω̄ ← (1 − τ) ω̄ + τ ω."""
        targets = self.critic_targets(state, batch)
        critic = self.critic.linearize(state.critic, batch.observations, batch.actions)
        gradient = critic.vjp(2 / targets.shape[0] * (critic.outputs - targets))
        parameters, moments = self.critic_optimizer.step(
            state.critic, gradient, state.critic_moments, state.annealing
        )
        state = state._replace(
            critic=parameters,
            critic_moments=moments,
            target_critic=torch.lerp(state.target_critic, parameters, self.tau),
        )
        return state, {"critic_loss": bellman_error(critic.outputs, targets)}

    def critic_targets(self, state: TrainState, batch: Batch) -> Tensor:
        """What the critic learns in the model, y(θ) = r̂ + γ m V̄(ŝ′): shape (B,)."""
        model = self.model.linearize(state.model, batch.model_inputs)
        next_values = self.next_values(state, batch, model.next_observations)
        return bellman_target(model.rewards, batch.terminations, next_values.outputs, self.gamma)

    def true_targets(self, state: TrainState, batch: Batch) -> Tensor:
        """What the environment says, y = r + γ m V̄(s′): shape (B,)."""
        next_values = self.next_values(state, batch, batch.next_observations)
        return bellman_target(batch.rewards, batch.terminations, next_values.outputs, self.gamma)

    def next_values(
        self, state: TrainState, batch: Batch, next_observations: Tensor
    ) -> ValueLinearization:
        """V̄ of next states, predicted or true, as the critic sees them."""
        seen = self.see(state, next_observations)
        return self.critic.linearize_value(state.target_critic, state.policy, seen, batch.noise)

    def fit_policy(self, state: TrainState, batch: Batch) -> tuple[TrainState, Info]:
        """ψ ← Adam on what the critic teaches the policy."""
        gradient, info = self.critic.policy_gradient(
            state.critic, state.policy, batch.observations, batch.noise
        )
        parameters, moments = self.policy_optimizer.step(
            state.policy, gradient, state.policy_moments, state.annealing
        )
        return state._replace(policy=parameters, policy_moments=moments), info

    def weights(self, state: TrainState, batch: Batch) -> Tensor:
        """How much the error of each dimension counts: shape (n,), or (B, n) if by transition."""
        return self.metric_at(state).weights(state.metric, batch.model_inputs)

    def learn_from_task(
        self, state: TrainState, batch: Batch, task_batch: Batch
    ) -> tuple[TrainState, Info]:
        """What the task loss changes beyond the critic: nothing, for maximum likelihood."""
        return state, {}


@dataclass(frozen=True, kw_only=True)
class TaskGradientUpdate(ModelBasedUpdate):
    """An update that knows the task's gradient in the model.

    Attributes:
        centred: whether the task residual is the model's part of the temporal-difference error
            only, y(θ) − y, instead of the whole, Q − y. At the critic's optimum ω*(θ) both have
            the same gradient; before it, the centred one is free of the critic's own error.
        critic_solver: solves with the critic's Gauss-Newton matrix for v; None takes it for the
            identity, as OMD and TaskMet do.
        critic_damping: added to that matrix's diagonal.
        fitted_critic: whether ω*(θ) is taken for a critic that fits its targets, whatever they are,
            so that L_task(ω*(θ)) = mean_B[Σ_j (y(θ) − y)²]. An exact solve comes to the same with a
            critic that is rich enough, and this takes no product with its Jacobian.
    """

    centred: bool = True
    critic_solver: LinearSolver | None = None
    critic_damping: float = 1e-3
    fitted_critic: bool = False

    def task_gradient(self, state: TrainState, batch: Batch) -> tuple[Tensor, Info]:
        """g_θ = dL_task(ω*(θ))/dθ = −∇_θ⟨∇_ω L_Q(ω, θ), v⟩ with v = (∂²_ω L_Q)⁻¹ ∇_ω L_task.

        Since ω enters L_Q only through Q, g_θ = mean_B[2 Σ_j (∂Q_j/∂ω v) ∇_θ y(θ)]: one
        forward-mode product of the critic and one reverse-mode pass through the model's target
        y(θ) = r̂ + γ m V̄(ŝ′) (OMD, arXiv 2106.03273, section 4).

        Returns:
            g_θ of θ's shape, and the task loss.
        """
        scale = 2 / batch.rewards.shape[0]
        continues = 1 - batch.terminations
        targets = self.true_targets(state, batch)
        model = self.model.linearize(state.model, batch.model_inputs)
        model_values = self.next_values(state, batch, model.next_observations)
        model_targets = bellman_target(
            model.rewards, batch.terminations, model_values.outputs, self.gamma
        )
        critic = self.critic.linearize(state.critic, batch.observations, batch.actions)

        predicted = model_targets.expand_as(critic.outputs) if self.centred else critic.outputs
        residuals = predicted - targets
        if not self.fitted_critic:
            v = critic.vjp(scale * residuals)
            if self.critic_solver is not None:
                v = self._solve_critic(self.critic_solver, critic, scale, v)
            residuals = critic.jvp(v)
        sensitivity = scale * residuals.sum(0)
        gradient = model.vjp(
            self.see(state, model_values.input_vjp(self.gamma * continues * sensitivity)),
            sensitivity,
        )
        return gradient, {"task_loss": bellman_error(critic.outputs, targets)}

    def _solve_critic(
        self, solver: LinearSolver, critic: CriticLinearization, scale: float, v: Tensor
    ) -> Tensor:
        """(∂²_ω L_Q)⁻¹ v, where ∂²_ω L_Q is taken as mean_B[2 Jᵀ J], one system for all critics."""

        def product(u: Tensor) -> Tensor:
            curved = critic.vjp(scale * critic.jvp(u.view_as(v))).flatten()
            return curved + self.critic_damping * u

        return solver(product, v.flatten()).vector.view_as(v)


@dataclass(frozen=True, kw_only=True)
class TaskMetUpdate(TaskGradientUpdate):
    """Maximum likelihood under a metric that learns from the task (arXiv 2312.05250).

    Attributes:
        hypergradient: carries g_θ over to φ.
        metric_optimizer: of φ.
    """

    hypergradient: HypergradientEstimator
    metric_optimizer: Adam = field(default_factory=Adam)

    @property
    def compiles(self) -> bool:
        """Whether the hypergradient does, which is unrolled by building an autograd graph."""
        return not isinstance(self.hypergradient, UnrolledGradient)

    def learn_from_task(
        self, state: TrainState, batch: Batch, task_batch: Batch
    ) -> tuple[TrainState, Info]:
        """φ ← Adam(g_φ) within the metric's bounds."""
        estimate, info = self.estimate(state, batch, task_batch)
        parameters, moments = self.metric_optimizer.step(
            state.metric, estimate.gradient, state.metric_moments
        )
        info |= {
            "hypergradient_norm": torch.linalg.vector_norm(estimate.gradient),
            "solver_residual": estimate.relative_residual,
        }
        parameters = self.metric.clamp(parameters)
        return state._replace(metric=parameters, metric_moments=moments), info

    def estimate(
        self, state: TrainState, batch: Batch, task_batch: Batch
    ) -> tuple[Hypergradient, Info]:
        """g_φ = dL_task(ω*(θ*(φ)))/dφ, on batches as `look_at` shows them.

        φ weighs the dynamics alone, and the curvature of L_pred has no entries between the
        dynamics and the reward, so that the reward network stays out of the solve.
        """
        gradient, info = self.task_gradient(state, task_batch)
        problem = PredictionProblem(
            self.model.dynamics,
            self.metric_at(state),
            inputs=batch.model_inputs,
            targets=batch.next_observations,
        )
        dynamics, _ = self.model.split(state.model)
        dynamics_gradient, _ = self.model.split(gradient)
        return self.hypergradient(problem, dynamics, state.metric, dynamics_gradient), info
