"""The agents' hyperparameters, each documented where it is defined, and their presets.

The defaults are what was measured to work best; `PUBLISHED` holds what the TaskMet paper
(arXiv 2312.05250, appendix) used, where that differs.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar, get_type_hints

import numpy as np

from ..arguments import is_count, is_real, is_whole
from ..compilation import Compile
from ..hypergradient import FullHessian, HypergradientEstimator, ImplicitGradient
from ..linear_solvers import LinearSolver, NormalEquationCG
from ..relevance import AllAlike, CriticSensitivity, Predictability, Relevance
from ..suggestion import did_you_mean


def are_sizes(value: Any) -> bool:
    """Whether it is a tuple of positive whole numbers."""
    return isinstance(value, tuple) and all(map(is_count, value))


EXPECTED: Mapping[Any, tuple[Callable[[Any], bool], str]] = {
    bool: (lambda value: isinstance(value, bool), "True or False"),
    int: (is_whole, "a whole number"),
    float: (lambda value: is_real(value) and math.isfinite(value), "a finite number"),
    tuple[int, ...]: (are_sizes, "positive whole numbers, one for each layer"),
    tuple[int, ...] | None: (
        lambda value: value is None or are_sizes(value),
        "None, or positive whole numbers, one a layer",
    ),
    float | None: (
        lambda value: value is None or EXPECTED[float][0](value),
        "None, or a finite number",
    ),
    Relevance: (
        lambda value: isinstance(value, Relevance),
        "an object of mbrl_taskmet.relevance, such as CriticSensitivity()",
    ),
    Predictability: (
        lambda value: isinstance(value, Predictability),
        "an object mbrl_taskmet.relevance.Predictability()",
    ),
}
"""What a value of each annotated type must be, and how to say so."""


def _is_function(value: Any) -> bool:
    """Whether it can be called, and is no class, which somebody has forgotten to call."""
    return callable(value) and not isinstance(value, type)


def _plain(value: Any) -> Any:
    """NumPy's scalars as Python's, and lists, as which a file has them, as tuples."""
    if isinstance(value, tuple | list):
        return tuple(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value


ELSEWHERE = {
    "ent_coef": "temperature",
    "exploration_final_eps": "exploration_epsilon",
    "exploration_initial_eps": "exploration_epsilon",
    "net_arch": "critic_hidden",
    "target_update_interval": "tau",
}
"""Names of hyperparameters in Stable-Baselines3 that have another here."""

NARROW = 16
"""A layer with fewer units cannot spare those that a small start leaves dead, a third of them."""

Preset = Literal["default", "published"]
Config = TypeVar("Config", bound="AgentConfig")


@dataclass(frozen=True, kw_only=True)
class AgentConfig:
    """What all agents share.

    Raises:
        ValueError: if a size, rate or probability is outside its range.
    """

    learning_rate: float = 1e-3
    """Adam's step size for the critic and its policy, at first. The paper has 3e-4; without
    distractors maximum likelihood then reaches a return of 294 after 20,000 updates, not 461
    (8 tuning seeds)."""

    learning_rate_decay: float = 0.0
    """Share of `learning_rate` that is gone after the steps that `learn` was asked for, and of the
    pace of the gates, if there are any. Training that is continued starts again from the progress
    it has made."""

    learning_rate_decay_start: float = 0.7
    """Share of the steps that `learn` was asked for after which the rate begins to fall."""

    restart_critic_optimizer: bool = False
    """Whether the critic's Adam begins anew in every update, and so steps by the rate itself, in
    the sign of each parameter's gradient. OMD's public code for CartPole does, and without it
    OMD's return with the paper's settings is gone by the end (`docs/decisions.md`). An actor's goes
    on."""

    model_learning_rate: float = 1e-3
    """Adam's step size for the dynamics and reward networks."""

    restart_model_optimizer: bool = False
    """Whether the model's Adam begins anew in every update, and so steps by its rate in the sign of
    each parameter's gradient, as it does in the public code of TaskMet's authors."""

    buffer_size: int = 200_000
    """Transitions kept for replay; memory is taken as they come."""

    learning_starts: int = 1_000
    """Environment steps with random actions before the first update."""

    batch_size: int = 256
    """Transitions in a batch."""

    gamma: float = 0.99
    """Discount factor γ."""

    tau: float = 0.01
    """Step of Polyak averaging τ, of the target critic towards the critic."""

    temperature: float | None = None
    """Temperature α of the soft value and of the policy, in units of reward; None for the policy's
    own, 0.01. With continuous actions it is where α begins, which is then learned as in soft
    actor-critic, and None is 1; a loaded agent goes on with the α that it has."""

    exploration_epsilon: float | None = None
    """Probability of a uniformly random action while training; None for the policy's own, 0.1.
    Continuous actions have the noise of their policy instead, and take only None."""

    target_entropy: float | None = None
    """Entropy of the policy that α is to bring about, with continuous actions only; None for −d, as
    in soft actor-critic."""

    normalize_observations: bool = True
    """Whether model, critic and metric see observations in units of their running mean and
    standard deviation, and predict them in these units. The paper leaves them as they are, and
    CartPole's angle is then a tenth of the size of a distractor."""

    critic_hidden: tuple[int, ...] = (32, 32)
    """Hidden layers of each critic, and of the actor if actions are continuous."""

    model_hidden: tuple[int, ...] = (32, 32)
    """Hidden layers of the dynamics and reward networks: the model's capacity."""

    input_scale: float = 1.0
    """Scale of the initial weights between the inputs and the first hidden layers of critic, with
    continuous actions actor, and, unless `model_input_scale` has it otherwise, model; in units of
    what they would be without."""

    model_input_scale: float | None = None
    """Scale of these weights in the model. None for `input_scale`, but for 1 in a model that has a
    layer of fewer than sixteen units: a small start would leave a third of them dead, which so few
    cannot spare (`docs/decisions.md`)."""

    ortho_init: bool = False
    """Whether the networks begin with orthogonal weights, of gain √2 and in the last layers of
    0.01, and without biases, as in the public codes of OMD and TaskMet; otherwise as torch has
    them."""

    compile: Compile = "auto"
    """Whether to compile the update into one graph, which makes it two to five times faster after a
    wait of about a minute the first time. By default, where a C++ compiler is at hand and the run
    is long enough to repay it."""

    @property
    def resolved_model_input_scale(self) -> float:
        """What `model_input_scale` comes to in a model of this size."""
        if self.model_input_scale is not None:
            return self.model_input_scale
        return 1.0 if any(size < NARROW for size in self.model_hidden) else self.input_scale

    def __post_init__(self) -> None:
        if callable(self.learning_rate):
            raise ValueError(
                "learning_rate must be a number, not a schedule: let it fall by "
                "learning_rate_decay and learning_rate_decay_start."
            )
        for name, kind in get_type_hints(type(self)).items():
            object.__setattr__(self, name, _plain(getattr(self, name)))
            if kind in EXPECTED:
                is_one, what = EXPECTED[kind]
                self._require(name, is_one(getattr(self, name)), what)
        self._require("compile", self.compile in ("auto", True, False), "'auto', True or False")
        for name in ("learning_rate", "model_learning_rate", "input_scale"):
            self._require(name, getattr(self, name) > 0, "positive")
        for name in ("temperature", "model_input_scale"):
            positive = getattr(self, name) is None or getattr(self, name) > 0
            self._require(name, positive, "positive, or None")
        for name in ("buffer_size", "batch_size"):
            self._require(name, getattr(self, name) > 0, "a positive whole number")
        self._require("learning_starts", self.learning_starts >= 0, "zero or more steps")
        self._require("gamma", 0 <= self.gamma <= 1, "between 0 and 1")
        self._require("learning_rate_decay", 0 <= self.learning_rate_decay <= 1, "from 0 to 1")
        starts = 0 <= self.learning_rate_decay_start < 1
        self._require("learning_rate_decay_start", starts, "from 0 to less than 1")
        self._require("tau", 0 < self.tau <= 1, "above 0 and at most 1")
        epsilon = self.exploration_epsilon
        is_probability = epsilon is None or 0 <= epsilon <= 1
        self._require("exploration_epsilon", is_probability, "from 0 to 1, or None")

    def _require(self, name: str, holds: bool, what: str) -> None:
        if not holds:
            raise ValueError(f"{name} must be {what}; got {getattr(self, name)!r}.")


@dataclass(frozen=True, kw_only=True)
class MLEConfig(AgentConfig):
    """Hyperparameters of MLE."""

    relevance: Relevance = field(default_factory=AllAlike)
    """What gates the networks' inputs and weighs the model's errors: nothing, or for comparison
    with TaskMet what it has."""


@dataclass(frozen=True, kw_only=True)
class ModelFreeConfig(AgentConfig):
    """Hyperparameters of ModelFree."""


@dataclass(frozen=True, kw_only=True)
class VEPConfig(AgentConfig):
    """Hyperparameters of VEP."""


@dataclass(frozen=True, kw_only=True)
class VaGraMConfig(AgentConfig):
    """Hyperparameters of VaGraM."""


@dataclass(frozen=True, kw_only=True)
class PredictabilityConfig(AgentConfig):
    """Hyperparameters of Predictability."""

    relevance: Predictability = field(default_factory=Predictability)
    """How the running errors of the model become gates and weights."""


@dataclass(frozen=True, kw_only=True)
class OMDConfig(AgentConfig):
    """Hyperparameters of OMD."""

    independent_batches: bool = False
    """Whether the task loss is taken on a batch of its own."""

    centred_task_gradient: bool = False
    """Whether the task residual is the model's part of the temporal-difference error only."""


@dataclass(frozen=True, kw_only=True)
class TaskMetConfig(AgentConfig):
    """Hyperparameters of TaskMet."""

    relevance: Relevance = field(default_factory=CriticSensitivity)
    """What gates the networks' inputs and gives the metric its prior. The paper has neither
    (`AllAlike`). Choose `AllAlike` too with `normalize_observations=False`, if units differ:
    sensitivities do not compare between them."""

    learning_rate_decay: float = 0.95
    """Share of `learning_rate` that is gone after the steps that `learn` was asked for. A rate that
    falls at the end takes late evaluations that dip out of TaskMet's course, without distractors
    and with 128, though not with 16 (`docs/decisions.md`). The other agents keep theirs: who still
    learns then, as maximum likelihood does among many distractors, learns less."""

    input_scale: float = 0.1
    """Scale of the initial weights between the inputs and the first hidden layers of critic, with
    continuous actions actor, and, unless `model_input_scale` has it otherwise, model. Small, so
    that no dimension has a say before something is learned of it, and the first sensitivities are
    those that were learned. A tenth leaves a third of the units dead: use 1 where a layer of the
    critic has a few only."""

    metric: Literal["diagonal", "full"] = "diagonal"
    """Form of Λ: a weight for each dimension, or a full matrix by its Cholesky factor."""

    metric_hidden: tuple[int, ...] | None = None
    """Hidden layers of a metric that depends on state and action, of which there may be none: it is
    then linear in them before its softplus. None for one metric for all."""

    normalize_metric: bool = True
    """Whether Λ is rescaled to the norm of the identity."""

    largest_weight: float | None = 5.0
    """Bound of a weight before it is rescaled, whose inverse bounds it below; None for none, as in
    the paper. Without it a real dimension can fall to a thousandth and not return. A conditional
    metric is not bounded."""

    metric_learning_rate: float = 1e-3
    """Adam's step size for the metric."""

    metric_warmup: int = 8_000
    """Updates before the metric starts to learn, of which there are fewer than steps where several
    environments share one. The paper has 5,000. A hypergradient through a critic that knows little
    yet leads astray: after 2,500 updates some seeds lost a real dimension for good."""

    independent_batches: bool = True
    """Whether the task loss is taken on a batch of its own. The paper uses one batch for both,
    which shares its sampling noise. On raw observations, at 128 distractors, that turned the
    hypergradient of the real dimensions around; on normalised ones it did no worse."""

    centred_task_gradient: bool = True
    """Whether the task residual is the model's part of the temporal-difference error only. The
    paper takes the whole error; the centred one has a little less variance."""

    hypergradient: HypergradientEstimator = field(default_factory=ImplicitGradient)
    """How the task's gradient reaches the metric. The paper solves with the full Hessian by ten
    iterations on the normal equations; the Gauss-Newton matrix is positive definite, and five
    iterations of conjugate gradient point about as close to the large-sample hypergradient, at a
    fraction of the cost."""

    critic_solver: LinearSolver | None = None
    """What solves with the critic's curvature for the task's gradient, as the implicit function
    theorem asks, such as `ConjugateGradient(5)`; None takes that curvature for the identity, as
    OMD and the paper do."""

    fitted_critic: bool = False
    """Whether the task loss is taken at a critic that fits its targets, mean[(y(θ) − y)²], which
    solving exactly for the curvature of a rich one comes to; not beside `critic_solver`. (If not
    `centred_task_gradient`, Q − y is still the residual, as it is with a solver.)"""

    @property
    def metric_begins(self) -> int:
        """Steps after which the metric starts to learn, if there is an update after each."""
        return self.learning_starts + self.metric_warmup

    def __post_init__(self) -> None:
        super().__post_init__()
        what = "an estimator's object, such as ImplicitGradient()"
        self._require("hypergradient", _is_function(self.hypergradient), what)
        solves = self.critic_solver is None or _is_function(self.critic_solver)
        self._require("critic_solver", solves, "a solver's object, or None")
        alone = self.critic_solver is None or not self.fitted_critic
        self._require("critic_solver", alone, "None beside fitted_critic, which solves nothing")
        self._require("metric", self.metric in ("diagonal", "full"), "'diagonal' or 'full'")
        bounded = self.largest_weight is None or self.largest_weight >= 1
        self._require("largest_weight", bounded, "at least 1, or None")
        self._require("metric_learning_rate", self.metric_learning_rate > 0, "positive")
        self._require("metric_warmup", self.metric_warmup >= 0, "zero or more updates")


_SHARED: Mapping[str, Any] = {"learning_rate": 3e-4, "normalize_observations": False}

PUBLISHED: Mapping[type[AgentConfig], Mapping[str, Any]] = {
    MLEConfig: _SHARED,
    ModelFreeConfig: _SHARED,
    VEPConfig: _SHARED,
    VaGraMConfig: _SHARED,
    # Errors compare between dimensions only if they are normalised.
    PredictabilityConfig: {"learning_rate": 3e-4},
    # As in OMD's public code for CartPole; neither paper says.
    OMDConfig: {**_SHARED, "restart_critic_optimizer": True},
    TaskMetConfig: {
        **_SHARED,
        "learning_rate_decay": 0.0,
        "relevance": AllAlike(),
        "input_scale": 1.0,
        "largest_weight": None,
        "metric_warmup": 5_000,
        "independent_batches": False,
        "centred_task_gradient": False,
        "hypergradient": ImplicitGradient(NormalEquationCG(10), FullHessian(), damping=0.0),
    },
}
"""Where the paper's settings differ from the defaults. It trains for 200,000 steps."""


def configure(
    config_class: type[Config], preset: Preset, hyperparameters: Mapping[str, Any]
) -> Config:
    """A preset with some hyperparameters changed.

    Raises:
        TypeError: if there is no hyperparameter of that name.
        ValueError: if there is no such preset, or a value is out of range.
    """
    if preset not in ("default", "published"):
        raise ValueError(f"preset must be 'default' or 'published'; got {preset!r}.")
    names = [f.name for f in fields(config_class)]
    for name in hyperparameters:
        if name not in names:
            raise TypeError(
                f"{config_class.__name__} has no hyperparameter {name!r}."
                f"{did_you_mean(ELSEWHERE.get(name, name), names)}"
            )
    known = next((c for c in config_class.__mro__ if c in PUBLISHED), None)
    chosen = PUBLISHED[known] if preset == "published" and known is not None else {}
    return config_class(**{**chosen, **hyperparameters})
