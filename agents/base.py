"""What all agents share.

Acting, replay, logging and files are Stable-Baselines3's; the learning is one pure update a step.
"""

import copy
import warnings
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import torch
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import (
    GymEnv,
    MaybeCallback,
    TensorDict,
    TrainFreq,
)
from stable_baselines3.common.utils import FloatSchedule
from stable_baselines3.common.vec_env import VecEnv

from ..adam import Adam
from ..batch import Batch
from ..compilation import Compile, should_compile
from ..dimension_names import dimension_names, numbered
from ..dynamics import DynamicsModel
from ..forms import Diagonal
from ..metric import Metric, UnconditionalMetric
from ..train_state import Info
from ..trilevel import ModelBasedUpdate
from .acting import IN_FORCE, LearnedPolicy
from .checked import with_final
from .config import ELSEWHERE, AgentConfig, Preset, configure
from .finite import check_losses
from .learner import Learner
from .policies import check_policy, policy_arguments, policy_for
from .reading import ReadableAlgorithm
from .replay import TransitionBuffer
from .rounds import check_episodes, check_rounds, fewest_updates
from .schedules import LateFall

RENEWAL_INTERVAL = 100
"""Updates between two renewals of the observations' units, and of the critic's step size."""

FINITE_CHECK_INTERVAL = 100
"""Updates between two looks at whether the losses are still finite."""


LOADABLE = (
    "train_freq",
    "gradient_steps",
    "policy_kwargs",
    "tensorboard_log",
    "verbose",
    "seed",
)
"""What can be given at loading beside the hyperparameters; `policy_kwargs` only as it was saved."""

LOOKED_UP = (
    "batch_size",
    "compile",
    "independent_batches",
    "learning_starts",
    "metric_warmup",
)
"""Hyperparameters that are looked up whenever they are needed. All others are built in."""


class ModelBasedAlgorithm(ReadableAlgorithm):
    """A Stable-Baselines3 algorithm whose learning is a `ModelBasedUpdate`.

    Args:
        policy: `"MlpPolicy"`, which is what `POLICIES` has for the kind of action space, or a class
            with the interface of `LearnedPolicy`.
        env: an environment with a flat Box observation and Discrete or flat, bounded Box actions,
            its id, or a vectorised environment.
        preset: `"default"`, or `"published"` for the paper's settings.
        gradient_steps: updates in each round; −1 for as many as transitions have come since the
            last.
        train_freq: steps of the environment between two rounds of updates, or
            `(episodes, "episode")`.
        policy_kwargs: passed on to the policy.
        stats_window_size: episodes over which the logged return is averaged.
        tensorboard_log: folder for TensorBoard events.
        verbose: 0 says nothing, 1 prints what is logged.
        seed: of everything random.
        device: where the learning happens. One agent's update with layers of 32 units takes a
            processor less time than a GPU; from some 256 units on a GPU is faster (`"cuda"`, or
            `"auto"` for what there is).
        **hyperparameters: any field of the agent's configuration (`config_class`).

    Raises:
        TypeError: for a hyperparameter that does not exist.
        ValueError: for a value out of range or a space that is not supported.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"MlpPolicy": LearnedPolicy}
    config_class: ClassVar[type[AgentConfig]]
    _hyperparameters: ClassVar[frozenset[str]]
    policy: LearnedPolicy
    policy_class: type[LearnedPolicy]
    replay_buffer: TransitionBuffer
    learner: Learner
    compile: Compile
    learning_rate_decay: float
    normalize_observations: bool
    independent_batches: bool = False

    def __init__(
        self,
        policy: str | type[BasePolicy],
        env: GymEnv | str | None,
        *,
        preset: Preset = "default",
        train_freq: int | tuple[int, str] = 1,
        gradient_steps: int = 1,
        policy_kwargs: dict[str, Any] | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: torch.device | str = "cpu",
        _init_setup_model: bool = True,
        **hyperparameters: Any,
    ) -> None:
        policys = policy_kwargs or {}
        for name in ("net_arch", *IN_FORCE):
            own = ELSEWHERE.get(name, name)
            if name in policys and own in hyperparameters:
                raise ValueError(
                    f"{own} is given, and {name} in policy_kwargs, which are the same: give one."
                )
        # What `policy_kwargs` say of hyperparameters is what is in force.
        said = {name: policys[name] for name in IN_FORCE if name in policys}
        config = configure(self.config_class, preset, hyperparameters | said)
        if env is None and _init_setup_model:
            raise ValueError("There is no environment: pass one, or the id of a registered one.")
        if isinstance(policy, str) and policy not in self.policy_aliases:
            raise ValueError(f"There is no policy {policy!r} here: pass 'MlpPolicy'.")
        super().__init__(
            policy,
            env,  # type: ignore[arg-type]  # None while loading, as in SB3's own agents
            learning_rate=config.learning_rate,
            train_freq=train_freq,
            gradient_steps=gradient_steps,
            replay_buffer_class=TransitionBuffer,
            policy_kwargs=policy_kwargs,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            verbose=verbose,
            device=device,
            support_multi_env=True,
            seed=seed,
            sde_support=False,
        )
        self.__dict__.update({f.name: getattr(config, f.name) for f in fields(config)})
        self.dimension_names: tuple[str, ...] = ()
        self.saved_by = type(self).__name__  # in a checkpoint, the class that wrote it
        self._info: Info = {}
        # Told what is about to take long; whoever shows progress otherwise replaces it.
        self.announce: Callable[[str], None] = self._say
        if _init_setup_model:
            self._setup_model()

    def _say(self, message: str) -> None:
        if self.verbose >= 1:
            print(message)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._hyperparameters = frozenset(field.name for field in fields(cls.config_class))

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._hyperparameters and "learner" in vars(self):
            if name not in LOOKED_UP:
                raise AttributeError(
                    f"{name} is built into an agent when it is made or loaded: save this one, and "
                    f"load it with {name}={value!r}."
                )
            value = getattr(replace(self.config, **{name: value}), name)
        super().__setattr__(name, value)

    @property
    def config(self) -> AgentConfig:
        """The hyperparameters, as the attributes of these names have them."""
        return self.config_class(
            **{f.name: getattr(self, f.name) for f in fields(self.config_class)}
        )

    def _setup_model(self) -> None:
        if self.saved_by != type(self).__name__:
            raise ValueError(f"it was saved by {self.saved_by}")
        config, policy_kwargs, action_space = self.config, self.policy_kwargs, self.action_space
        if self.policy_class is LearnedPolicy:
            self.policy_class = policy_for(action_space)
        check_policy(self.policy_class, action_space)
        # The configuration has what else they said, unless it was changed at loading.
        others = {name: value for name, value in policy_kwargs.items() if name not in IN_FORCE}
        self.policy_kwargs = policy_arguments(self.policy_class, config, others)
        self.critic_hidden = tuple(self.policy_kwargs["net_arch"])
        random_actions = copy.deepcopy(action_space)
        super()._setup_model()
        check_rounds(self._rounds, self.gradient_steps)
        self.replay_buffer.check_batch(config.batch_size)
        # Kept as given, so that a configuration changed at loading is not overruled.
        self.policy_kwargs = policy_kwargs
        if self.num_timesteps > 0:
            # A loaded agent goes on where Stable-Baselines3 has just seeded its actions anew.
            self.action_space = random_actions
        self.dimension_names = tuple(self.dimension_names) or self._names_in(self.env)
        if misplaced := self.misplaced(self.env):
            raise ValueError(misplaced)
        self.learner = Learner(self._make_update(), self._seed_streams(self.seed), self.device)
        self._show_to_policy()

    def _seed_streams(self, seed: int | None) -> torch.Generator:
        """One seed, and a stream of its own for each purpose: acting, and learning's, returned.

        Without a seed, torch's global generator decides both, as it does of Stable-Baselines3's
        networks.
        """
        if seed is None:
            seed = int(torch.randint(2**32, ()))
        learning, acting = np.random.SeedSequence(seed).generate_state(2)
        self.policy.generator.manual_seed(int(acting))
        return torch.Generator().manual_seed(int(learning))

    def set_random_seed(self, seed: int | None = None) -> None:
        """Begin all random streams anew; as in Stable-Baselines3, nothing if there is no seed."""
        super().set_random_seed(seed)
        if seed is not None and hasattr(self, "learner"):  # not while it is being set up
            self.learner.generator = self._seed_streams(seed)

    def _names_in(self, env: VecEnv | None) -> tuple[str, ...]:
        if env is None or not env.has_attr("dimension_names"):
            return numbered(self.num_dimensions)
        said = env.get_attr("dimension_names")
        first, *others = (dimension_names(own, self.num_dimensions) for own in said)
        if any(names != first for names in others):
            raise ValueError(
                "The environments of the vectorised one call their dimensions differently, or have "
                "them in different orders: make all alike, such as with one layout_seed."
            )
        return first

    def misplaced(self, env: VecEnv | None) -> str:
        """What stands where another dimension was learned, if all are the same in another order.

        Raises:
            ValueError: if the environments of a vectorised one differ among themselves.
        """
        learned, found = self.dimension_names, self._names_in(env)
        if found == learned or set(found) != set(learned):
            return ""
        place = next(i for i, name in enumerate(found) if name != learned[i])
        return (
            f"dimension {place} of the environment is {found[place]}, where {learned[place]} was "
            "learned"
        )

    def set_env(self, env: GymEnv, force_reset: bool = True) -> None:
        """Go on in another environment; as in Stable-Baselines3.

        Raises:
            ValueError: if its spaces are other ones, or its dimensions stand in another order.
        """
        wrapped = self._wrap_env(env, self.verbose)
        if misplaced := self.misplaced(wrapped):
            raise ValueError(f"This environment does not fit, since {misplaced}: keep the order.")
        super().set_env(wrapped, force_reset)

    def _make_update(self) -> ModelBasedUpdate:
        """The pure update that makes this agent what it is."""
        raise NotImplementedError

    def _levels(self) -> dict[str, Any]:
        """The model, the critic, the metric and their optimisers: what every update needs."""
        config = self.config
        return {
            "model": DynamicsModel.of_capacity(
                self.num_dimensions,
                self.replay_buffer.encoding.size,
                config.model_hidden,
                config.resolved_model_input_scale,
                config.ortho_init,
            ),
            "critic": self.policy.critic,
            "metric": self._make_metric(),
            "gamma": config.gamma,
            "tau": config.tau,
            "model_optimizer": Adam(config.model_learning_rate, config.restart_model_optimizer),
            "critic_optimizer": Adam(config.learning_rate, config.restart_critic_optimizer),
            "policy_optimizer": Adam(config.learning_rate),
        }

    def _make_metric(self) -> Metric:
        """All dimensions alike, unless an agent learns otherwise."""
        return UnconditionalMetric(Diagonal(self.num_dimensions))

    def train(self, gradient_steps: int, batch_size: int) -> None:
        """Do some updates on batches from the replay buffer.

        Raises:
            ValueError: if there is no experience to draw them from.
        """
        if self.replay_buffer.size() == 0:
            raise ValueError(
                f"This {type(self).__name__} has no experience to train on: let it learn, or give "
                "it some with load_replay_buffer first."
            )
        self.normalized_outside = self._present_normalizer is not None
        for _ in range(gradient_steps):
            if self._n_updates % RENEWAL_INTERVAL == 0:
                self._renew()
            batch, task_batch = self._sample_batches(batch_size)
            self._info = self.learner.step(batch, task_batch, task=self._task_takes_part())
            self._n_updates += 1
            if self._n_updates % FINITE_CHECK_INTERVAL == 0:
                check_losses(self.last_info, self._n_updates, self.num_timesteps)
        self._show_to_policy()

    def _renew(self) -> None:
        """Follow what changes slowly: the units of observations, and the progress of training."""
        self._observe_stored()
        if self.normalize_observations:
            self.learner.renew_normalizer()
        self._anneal()

    def _anneal(self) -> None:
        rate, at_first = map(self.lr_schedule, (self._current_progress_remaining, 1.0))
        self.learner.anneal(rate / at_first)

    def _setup_lr_schedule(self) -> None:
        config = self.config
        schedule = LateFall(
            config.learning_rate, config.learning_rate_decay, config.learning_rate_decay_start
        )
        self.lr_schedule = FloatSchedule(schedule)

    def _sample_batches(self, batch_size: int) -> tuple[Batch, Batch]:
        """The batch to fit and the batch for the task loss: the same if not independent."""
        number = 2 if self.independent_batches else 1
        batches = self.replay_buffer.sample_batches(
            batch_size, number, self.learner.generator, self._vec_normalize_env
        )
        return batches[0], batches[-1]

    def _task_takes_part(self) -> bool:
        """Whether this update includes the task level."""
        return True

    @property
    def last_info(self) -> dict[str, float]:
        """The scalars of the last update, such as `model_mse`; empty before the first."""
        return {name: value.item() for name, value in self._info.items()}

    def _show_to_policy(self) -> None:
        """Let the policy act on what was learned."""
        self.policy.show(self.learner.state)

    def _store_transition(
        self,
        replay_buffer: ReplayBuffer,
        buffer_action: np.ndarray,
        new_obs: np.ndarray | dict[str, np.ndarray],
        reward: np.ndarray,
        dones: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        super()._store_transition(replay_buffer, buffer_action, new_obs, reward, dones, infos)
        # What moves in the last step only, such as a flag of failure, has to be predicted too.
        assert isinstance(new_obs, np.ndarray)
        self.learner.observe(with_final(new_obs, dones, infos))

    def _observe_stored(self) -> None:
        """Count experience that was there before anything was observed: loaded, or put in."""
        if self.learner.num_observed == 0 and self.replay_buffer.size() > 0:
            stored = self.replay_buffer.observations_reached(self._vec_normalize_env)
            self.learner.observe(stored)

    def _setup_learn(self, *args: Any, **kwargs: Any) -> tuple[int, BaseCallback]:
        prepared = super()._setup_learn(*args, **kwargs)
        if not self.normalize_observations:  # as an agent can be loaded that did
            self.learner.drop_normalizer()
            self._show_to_policy()
        self._observe_stored()
        # Where the last call left it until the next renewal otherwise.
        self._update_current_progress_remaining(self.num_timesteps, self._total_timesteps)
        self._anneal()
        return prepared

    def dump_logs(self) -> None:
        """Log the last update's scalars and the metric's weights beside SB3's own values."""
        check_losses(self.last_info, self._n_updates, self.num_timesteps)
        for name, value in self.last_info.items():
            self.logger.record(f"train/{name}", value)
        rate = self.lr_schedule(self._current_progress_remaining)
        self.logger.record("train/learning_rate", rate)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        if self._info:
            for name, weight in zip(self.dimension_names, self._mean_weights(), strict=True):
                self.logger.record(f"metric/weight_{name}", float(weight), exclude="stdout")
        super().dump_logs()

    def _updates_to_compile(self, total_timesteps: int) -> int:
        """How many updates are ahead that can be compiled."""
        assert self.env is not None
        steps = max(total_timesteps - max(self.learning_starts - self.num_timesteps, 0), 0)
        return fewest_updates(steps, self._rounds, self.gradient_steps, self.env)

    @property
    def _rounds(self) -> TrainFreq:
        """When there are updates, as Stable-Baselines3 has it once an agent is set up."""
        assert isinstance(self.train_freq, TrainFreq)
        return self.train_freq

    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 4,
        tb_log_name: str | None = None,
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """Learn for a number of environment steps; as in Stable-Baselines3.

        A learning rate that falls does so towards the end of these steps, and after more of them
        (`reset_num_timesteps=False`) again: who trains in pieces passes `learning_rate_decay=0`.

        Raises:
            DivergenceError: if a loss is not finite, or what the policy acts by.
            FloatingPointError: if an observation or reward is not finite.
            ValueError: if the number of steps is not positive, or there is no environment.
        """
        if self.env is None:
            raise ValueError(
                "There is no environment to learn in: pass env to load, or call set_env first."
            )
        if total_timesteps < 1:
            raise ValueError(f"total_timesteps must be positive; got {total_timesteps}.")
        ended = 0 < self._total_timesteps <= self.num_timesteps
        if ended and not reset_num_timesteps and self.learning_rate_decay > 0:
            warnings.warn(
                "The learning rate has fallen at the end of the steps before, and falls again at "
                "the end of these: pass learning_rate_decay=0 to train in pieces.",
                stacklevel=2,
            )
        check_episodes(self._rounds, self.n_envs)
        if should_compile(self.compile, self._updates_to_compile(total_timesteps)):
            announce = print if progress_bar else self.announce
            self.learner.compile(partial(announce, "compiling (a minute)"))
        return super().learn(
            total_timesteps,
            callback,
            log_interval,
            tb_log_name or type(self).__name__,
            reset_num_timesteps,
            progress_bar,
        )

    @classmethod
    def _settings_at_loading(cls, given: dict[str, Any]) -> dict[str, Any]:
        if "preset" in given:
            raise TypeError(
                "A loaded agent has its settings: leave preset out, and change them by name, as in "
                "gamma=0.9."
            )
        chosen = {name: value for name, value in given.items() if name not in LOADABLE}
        config = configure(cls.config_class, "default", chosen)
        return given | {name: getattr(config, name) for name in chosen}

    def set_parameters(
        self,
        load_path_or_dict: str | TensorDict,
        exact_match: bool = True,
        device: torch.device | str = "cpu",
    ) -> None:
        """Put saved parameters in place; as in Stable-Baselines3.

        The policy then acts as these hyperparameters see, whatever those it was saved with saw.

        Raises:
            ValueError: if they are those of another agent, or leave the learner out.
        """
        if isinstance(load_path_or_dict, dict) and "learner" not in load_path_or_dict:
            raise ValueError(
                'The policy acts by what its learner has learned: give "learner" too, as '
                "get_parameters returns it."
            )
        before = copy.deepcopy(self.get_parameters())
        try:
            super().set_parameters(load_path_or_dict, exact_match, device)
        except BaseException:  # by when some of it may be in place
            for name, parameters in before.items():
                getattr(self, name).load_state_dict(parameters)
            raise
        self._show_to_policy()

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "learner", "announce", "_info"]

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        return ["policy", "learner"], []
