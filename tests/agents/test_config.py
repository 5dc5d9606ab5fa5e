"""Hyperparameters: presets, what is refused, and how they are written down."""

import inspect
import json
from dataclasses import dataclass, fields

import numpy as np
import pytest
import torch
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.dqn.policies import DQNPolicy
from stable_baselines3.sac.policies import SACPolicy

from mbrl_taskmet import MLE, OMD, Predictability, TaskMet, relevance
from mbrl_taskmet.adam import Adam
from mbrl_taskmet.agents import AGENTS
from mbrl_taskmet.agents.base import LOOKED_UP
from mbrl_taskmet.agents.config import AgentConfig, OMDConfig, TaskMetConfig, configure
from mbrl_taskmet.agents.policies import SoftQPolicy, SquashedGaussianPolicy
from mbrl_taskmet.agents.serialization import decode, encode
from mbrl_taskmet.forms import Diagonal
from mbrl_taskmet.hypergradient import FullHessian, ImplicitGradient, UnrolledGradient
from mbrl_taskmet.linear_solvers import (
    ConjugateGradient,
    Exact,
    Identity,
    NeumannSeries,
    NormalEquationCG,
)
from mbrl_taskmet.metric import UnconditionalMetric
from mbrl_taskmet.relevance import AllAlike, CriticSensitivity, GatesOnly, Given, PriorOnly

CONFIGS = [agent.config_class for agent in AGENTS.values()]


def test_the_published_preset_has_the_papers_settings(agent_class, make_env):
    agent = agent_class("MlpPolicy", make_env(), preset="published")
    shared = {
        "learning_rate": 3e-4,
        "learning_rate_decay": 0.0,
        "restart_critic_optimizer": agent_class is OMD,
        "model_learning_rate": 1e-3,
        "learning_starts": 1_000,
        "batch_size": 256,
        "gamma": 0.99,
        "tau": 0.01,
        "normalize_observations": agent_class is Predictability,  # which is not the paper's
        "input_scale": 1.0,
        "resolved_model_input_scale": 1.0,
        "critic_hidden": (32, 32),
        "model_hidden": (32, 32),
    }
    assert {name: getattr(agent.config, name) for name in shared} == shared
    assert agent.policy.critic.temperature == 0.01
    assert agent.policy.exploration_epsilon == 0.1
    assert agent.gradient_steps == agent.train_freq.frequency == 1
    if agent_class is TaskMet:
        assert agent.config.metric_learning_rate == 1e-3
        assert agent.config.metric_warmup == 5_000
        assert (agent.config.metric, agent.config.metric_hidden) == ("diagonal", None)
        assert agent.config.normalize_metric
        assert agent.config.largest_weight is None
        assert agent.config.relevance == AllAlike()
        assert not agent.config.independent_batches
        assert not agent.config.centred_task_gradient
        assert agent.config.hypergradient == ImplicitGradient(
            NormalEquationCG(10), FullHessian(), damping=0.0
        )


def test_the_published_preset_learns(agent_class, make_agent):
    options = {"metric_warmup": 30} if agent_class is TaskMet else {}
    make_agent(agent_class, preset="published", **options).learn(80)


def test_what_is_given_beside_a_preset_wins(make_agent):
    agent = make_agent(TaskMet, preset="published", learning_rate=0.5, metric_warmup=7)
    assert (agent.config.learning_rate, agent.config.metric_warmup) == (0.5, 7)
    assert not agent.config.independent_batches


def test_every_setting_reaches_the_update(make_agent):
    update = make_agent(
        TaskMet, gamma=0.5, tau=0.25, temperature=0.75, learning_rate=1e-1,
        model_learning_rate=1e-2, metric_learning_rate=1e-3, critic_hidden=(3,),
        model_hidden=(4, 5), centred_task_gradient=False, hypergradient=UnrolledGradient(2),
        relevance=CriticSensitivity(0.3), input_scale=0.4, model_input_scale=0.6,
        largest_weight=3.0, restart_critic_optimizer=True, restart_model_optimizer=True,
        ortho_init=True, critic_solver=ConjugateGradient(7),
    ).learner.update  # fmt: skip
    assert (update.gamma, update.tau, update.critic.temperature) == (0.5, 0.25, 0.75)
    assert update.critic_optimizer == Adam(1e-1, restart=True)
    assert update.policy_optimizer == Adam(1e-1)
    assert update.model_optimizer == Adam(1e-2, restart=True)
    assert update.metric_optimizer == Adam(1e-3)
    assert update.critic.network.sizes == (6, 3, 2)
    assert update.model.dynamics.sizes == (8, 4, 5, 6)
    assert update.model.reward.sizes == (8, 4, 5, 1)
    assert not update.centred
    assert update.hypergradient == UnrolledGradient(2)
    assert update.critic_solver == ConjugateGradient(7)
    assert not update.fitted_critic
    assert make_agent(TaskMet, fitted_critic=True).learner.update.fitted_critic
    assert update.relevance == CriticSensitivity(0.3)
    assert update.metric == UnconditionalMetric(Diagonal(6, True, 3.0))
    networks = update.critic.network, update.model.dynamics, update.model.reward
    assert [network.input_scale for network in networks] == [0.4, 0.6, 0.6]
    assert all(network.ortho_init for network in networks)
    assert [
        make_agent(OMD, **options).learner.update.centred
        for options in ({}, {"centred_task_gradient": False}, {"centred_task_gradient": True})
    ] == [False, False, True]
    assert make_agent(MLE, relevance=AllAlike()).learner.update.relevance == AllAlike()
    given = Given((1.0, 0, 0, 0, 0, 0))
    assert make_agent(MLE, relevance=given).learner.update.relevance == given
    errors = relevance.Predictability(0.1)
    assert make_agent(Predictability, relevance=errors).learner.update.relevance == errors


@pytest.mark.parametrize(
    ("agent_class", "chosen", "expected"),
    [
        (TaskMet, {}, 0.1),
        (TaskMet, {"model_hidden": (16, 16)}, 0.1),
        (TaskMet, {"model_hidden": ()}, 0.1),
        (TaskMet, {"model_hidden": (32, 15)}, 1.0),
        (TaskMet, {"model_hidden": (2, 2), "model_input_scale": 0.1}, 0.1),
        (TaskMet, {"preset": "published"}, 1.0),
        (TaskMet, {"input_scale": 0.3}, 0.3),
        (MLE, {}, 1.0),
        (MLE, {"input_scale": 0.1, "model_hidden": (4,)}, 1.0),
    ],
)
def test_a_narrow_model_starts_with_the_usual_weights(make_agent, agent_class, chosen, expected):
    model = make_agent(agent_class, **{"model_hidden": (32, 32), **chosen}).learner.update.model
    assert (model.dynamics.input_scale, model.reward.input_scale) == (expected, expected)


@pytest.mark.parametrize("estimator", [ImplicitGradient(Exact()), UnrolledGradient()])
def test_every_estimator_learns(make_agent, estimator):
    agent = make_agent(TaskMet, hypergradient=estimator, model_hidden=(3,))
    before = agent.metric_weights().weights
    assert (agent.learn(90).metric_weights().weights != before).all()


def test_what_does_not_compile_leaves_the_inner_levels_to_be_compiled(make_agent, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda f, **_: compiled.append(f.__name__) or f)
    make_agent(TaskMet, hypergradient=UnrolledGradient(), compile=True).learn(90)
    assert compiled == ["fit"]
    make_agent(TaskMet, compile=True).learn(90)
    assert compiled == ["fit", "fit", "__call__"]


def one_sentence(error):
    sentence = str(error.value)
    assert "\n" not in sentence
    assert sentence[-1] in ".?"
    return sentence


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("metric_lerning_rate", "metric_learning_rate"),
        ("gama", "gamma"),
        ("ent_coef", "temperature"),  # as Stable-Baselines3's SAC calls it
        ("lr", None),
    ],
)
def test_an_unknown_hyperparameter_is_refused_with_the_nearest_one(make_agent, name, nearest):
    with pytest.raises(TypeError, match=f"no hyperparameter '{name}'") as error:
        make_agent(TaskMet, **{name: 1})
    assert ("Did you mean" in one_sentence(error)) == (nearest is not None)
    assert nearest is None or f"{nearest!r}?" in one_sentence(error)


def test_a_hyperparameter_of_another_agent_is_refused(make_agent):
    with pytest.raises(TypeError, match="MLEConfig has no hyperparameter 'metric_warmup'"):
        make_agent(MLE, metric_warmup=3)


def test_an_unknown_preset_is_refused_with_those_there_are(agent_class, make_agent):
    with pytest.raises(ValueError, match="'default' or 'published'; got 'publised'") as error:
        make_agent(agent_class, preset="publised")
    one_sentence(error)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(rate, value) for rate in ("learning_rate", "model_learning_rate", "temperature")
          for value in (0, -1e-3, float("nan"))],
        *[(entropy, value) for entropy in ("temperature", "target_entropy")
          for value in ("auto", float("inf"))],
        *[(size, value) for size in ("buffer_size", "batch_size") for value in (0, -5, 2.5)],
        ("learning_starts", -1),
        ("gamma", -0.1), ("gamma", 1.1), ("gamma", float("nan")),
        ("tau", 0), ("tau", 1.5),
        ("exploration_epsilon", -0.1), ("exploration_epsilon", 2),
        *[(size, value) for size in ("critic_hidden", "model_hidden")
          for value in ((0,), (32, -1), (3.5,))],
        ("metric", "diagnal"),
        ("metric_learning_rate", 0),
        ("metric_warmup", -1),
        *[("largest_weight", value) for value in (0.5, -1, "5", True, float("inf"))],
        *[("relevance", value) for value in (None, "none", CriticSensitivity)],
        *[("hypergradient", value) for value in (None, ImplicitGradient)],
        *[("critic_solver", value) for value in (5, ConjugateGradient)],
        *[(scale, value) for scale in ("input_scale", "model_input_scale") for value in (0, -1)],
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_refused_by_its_name(make_agent, name, value):
    with pytest.raises(ValueError, match=f"^{name} must be .*; got ") as error:
        make_agent(TaskMet, **{name: value})
    assert repr(value) in one_sentence(error)


def test_predictability_takes_no_other_relevance(make_agent):
    with pytest.raises(ValueError, match=r"^relevance must be an object .*Predictability\(\); got"):
        make_agent(Predictability, relevance=CriticSensitivity())


def test_two_ways_of_solving_for_the_critic_are_refused():
    with pytest.raises(ValueError, match=r"^critic_solver must be None beside fitted_critic"):
        TaskMetConfig(critic_solver=ConjugateGradient(3), fitted_critic=True)


def test_gates_for_another_environment_are_refused(make_agent):
    with pytest.raises(ValueError, match="2 gates for 6 dimensions: give one each"):
        make_agent(TaskMet, relevance=Given((1.0, 1.0)))


@pytest.mark.parametrize("config_class", [AgentConfig, *CONFIGS])
def test_every_hyperparameter_is_documented_where_it_is_defined(config_class):
    for name in inspect.get_annotations(config_class):
        lines = inspect.getsource(config_class).partition(f"    {name}: ")[2].split("\n", 1)[1]
        assert lines.lstrip().startswith('"""'), name


@pytest.mark.parametrize("preset", ["default", "published"])
@pytest.mark.parametrize("config_class", CONFIGS)
def test_a_configuration_survives_json(config_class, preset):
    config = configure(config_class, preset, {"gamma": 0.5, "critic_hidden": (3, 4, 5)})
    read = decode(json.loads(json.dumps(encode(config))))
    assert read == config
    assert type(read) is config_class


@pytest.mark.parametrize(
    "options",
    [
        {"metric_hidden": ()},
        {"metric_hidden": (4, 4), "metric": "full"},
        {"hypergradient": UnrolledGradient(3, 0.5)},
        {"critic_solver": ConjugateGradient(2)},
        *[{"relevance": chosen}
          for chosen in (CriticSensitivity(0.2, 0.1), Given((1.0, 0.5)),
                         GatesOnly(AllAlike()), PriorOnly(Given((0.5,))))],
        *[{"hypergradient": ImplicitGradient(solver, FullHessian(), 0.25)}
          for solver in (ConjugateGradient(2), NeumannSeries(), Identity(), Exact())],
    ],
)  # fmt: skip
def test_every_choice_survives_json(options):
    config = TaskMetConfig(**options)
    assert decode(json.loads(json.dumps(encode(config)))) == config


def test_an_unknown_class_is_refused():
    written = encode(OMDConfig()) | {"class": "OMGConfig"}
    with pytest.raises(ValueError, match="'OMGConfig'"):
        decode(written)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("batch_size", np.int64(32), 32),
        ("gamma", np.float32(0.5), 0.5),
        ("tau", np.float64(0.25), 0.25),
        ("largest_weight", np.int32(3), 3),
        ("critic_hidden", (np.int64(4), np.int16(5)), (4, 5)),
        ("model_hidden", [4, 5], (4, 5)),
        ("normalize_observations", np.bool_(False), False),
    ],
)
def test_numpys_scalars_are_taken_for_pythons(make_agent, name, value, expected):
    agent = make_agent(TaskMet, **{name: value})
    found = getattr(agent.config, name)
    assert found == getattr(agent, name) == expected
    assert type(found) is type(expected)
    assert decode(json.loads(json.dumps(encode(agent.config)))) == agent.config


@pytest.mark.parametrize(
    ("train_freq", "frequency"), [(0, 0), (-3, -3), ((0, "episode"), 0), ((-1, "step"), -1)]
)
def test_a_round_without_a_step_is_refused(make_agent, train_freq, frequency):
    with pytest.raises(ValueError, match=f"train_freq must be at least 1; got {frequency}: coll"):
        make_agent(MLE, train_freq=train_freq)


def test_episodes_of_several_environments_are_refused(make_agent, make_env):
    env = make_vec_env(make_env, 2)
    agent = make_agent(MLE, env, train_freq=(1, "episode"))
    with pytest.raises(ValueError, match="of one environment; got 2: give it in steps"):
        agent.learn(100)


def test_who_learned_by_episodes_can_act_in_several_environments(make_agent, make_env, tmp_path):
    make_agent(MLE, train_freq=(1, "episode")).save(tmp_path / "agent.zip")
    env = make_vec_env(make_env, 2)
    returns, _ = evaluate_policy(
        MLE.load(tmp_path / "agent.zip", env=env), env, 4, return_episode_rewards=True
    )
    assert len(returns) == 4


@pytest.mark.parametrize(
    ("train_freq", "gradient_steps", "updates"),
    [(1, 1, 29_000), (10, 2, 5_800), ((1, "episode"), 1, 58), ((2, "episode"), 500, 14_500),
     ((1, "episode"), -1, 29_000)],
)  # fmt: skip
def test_the_updates_ahead_are_counted_in_the_unit_of_the_rounds(
    make_agent, train_freq, gradient_steps, updates
):
    """An episode of CartPole takes 500 steps at most."""
    options = {"train_freq": train_freq, "gradient_steps": gradient_steps}
    agent = make_agent(MLE, learning_starts=1_000, **options)
    assert agent._updates_to_compile(30_000) == updates


def test_a_round_of_several_environments_takes_a_step_of_each(make_agent, make_env):
    agent = make_agent(MLE, make_vec_env(make_env, 2), learning_starts=1_000)
    assert agent._updates_to_compile(30_000) == 14_500


def test_a_batch_that_memory_cannot_hold_is_refused_at_once(make_agent):
    for batch_size in (10**15, 10**25):
        with pytest.raises(MemoryError, match=f"^batch_size {batch_size} does not fit"):
            make_agent(MLE, batch_size=batch_size)


@pytest.mark.parametrize("gradient_steps", [1.5, "1", -2, None])
def test_updates_that_cannot_be_counted_are_refused(make_agent, gradient_steps):
    with pytest.raises(ValueError, match="gradient_steps must be a whole number") as error:
        make_agent(MLE, gradient_steps=gradient_steps)
    assert repr(gradient_steps) in one_sentence(error)


@pytest.mark.parametrize("net_arch", [{"pi": [4], "qf": [4]}, 4, (0,), "44"], ids=str)
def test_layers_that_are_no_sizes_are_refused(make_agent, net_arch):
    with pytest.raises(ValueError, match="net_arch must be positive whole numbers") as error:
        make_agent(MLE, policy_kwargs={"net_arch": net_arch})
    one_sentence(error)


def test_a_keyword_that_no_policy_has_is_refused_with_those_there_are(make_agent):
    with pytest.raises(TypeError, match=r"no 'activation_fn' .*: it takes net_arch, ") as error:
        make_agent(MLE, policy_kwargs={"activation_fn": torch.nn.ReLU})
    one_sentence(error)


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", "auto"), ("temperature", 0), ("exploration_epsilon", 5)],
)
def test_keywords_of_policies_have_the_ranges_of_hyperparameters(make_agent, name, value):
    with pytest.raises(ValueError, match=f"^{name} must be .*; got {value!r}") as error:
        make_agent(MLE, policy_kwargs={name: value})
    one_sentence(error)


@pytest.mark.parametrize(
    ("own", "policys"),
    [
        ({"temperature": 0.5}, {"temperature": 0.25}),
        ({"critic_hidden": (8,)}, {"net_arch": (4,)}),
    ],
)
def test_what_is_said_twice_is_refused(make_env, own, policys):
    (name,), (policys_name,) = own, policys
    with pytest.raises(ValueError, match=f"^{name} is given, and {policys_name} in policy_kwargs"):
        MLE("MlpPolicy", make_env(), policy_kwargs=policys, **own)


def test_what_is_built_in_cannot_be_set_and_what_is_looked_up_is_in_force(make_agent):
    agent = make_agent(TaskMet)
    for field in fields(TaskMetConfig):
        value = getattr(agent, field.name)
        if field.name in LOOKED_UP:
            setattr(agent, field.name, value)
            continue
        with pytest.raises(AttributeError, match=f"^{field.name} is built into an agent"):
            setattr(agent, field.name, value)
    agent.batch_size = np.int64(8)
    agent.learn(60)
    assert agent.config.batch_size == 8
    assert type(agent.batch_size) is int


@pytest.mark.parametrize(
    ("name", "value"), [("batch_size", 2.5), ("batch_size", 0), ("metric_warmup", -5)]
)
def test_what_is_looked_up_is_set_within_its_range(make_agent, name, value):
    agent = make_agent(TaskMet)
    before = getattr(agent, name)
    with pytest.raises(ValueError, match=f"^{name} must be"):
        setattr(agent, name, value)
    assert getattr(agent, name) == before


@pytest.mark.parametrize(
    ("env", "name"), [("CartPole-v1", "target_entropy"), ("Pendulum-v1", "exploration_epsilon")]
)
def test_a_hyperparameter_of_the_other_kind_of_actions_is_refused(make_agent, env, name):
    with pytest.raises(ValueError, match=f"^[A-Za-z]+Policy has no '{name}' to set: it ") as error:
        make_agent(MLE, env, **{name: 0.5})
    one_sentence(error)


@pytest.mark.parametrize("as_policys", [False, True])
def test_a_learned_temperature_begins_as_asked(make_agent, make_pendulum, as_policys):
    chosen = {"temperature": 0.25, "target_entropy": -0.5}
    options = {"policy_kwargs": chosen} if as_policys else chosen
    agent = make_agent(MLE, make_pendulum(), **options)
    assert agent.learner.state.policy[-1].exp().item() == pytest.approx(0.25)
    assert agent.learner.update.critic.target_entropy == -0.5
    assert make_agent(MLE, make_pendulum()).learner.state.policy[-1] == 0


@pytest.mark.parametrize(
    ("env", "policy", "fitting"),
    [
        ("CartPole-v1", DQNPolicy, SoftQPolicy),
        ("CartPole-v1", SquashedGaussianPolicy, SoftQPolicy),
        ("Pendulum-v1", SACPolicy, SquashedGaussianPolicy),
        ("Pendulum-v1", SoftQPolicy, SquashedGaussianPolicy),
    ],
)
def test_a_policy_that_cannot_act_here_is_refused_with_one_that_can(env, policy, fitting):
    with pytest.raises(ValueError, match=f"^{policy.__name__} .* {fitting.__name__}.$") as error:
        MLE(policy, env)
    one_sentence(error)
    assert type(MLE(fitting, env).policy) is fitting


def test_another_name_than_that_of_the_policy_is_refused():
    with pytest.raises(ValueError, match="no policy 'CnnPolicy' here: pass 'MlpPolicy'"):
        MLE("CnnPolicy", "CartPole-v1")


def test_the_published_preset_is_that_of_a_configuration_derived_from_one_that_has_it():
    @dataclass(frozen=True, kw_only=True)
    class Own(TaskMetConfig):
        extra: int = 1

    found = configure(Own, "published", {"extra": 2})
    assert (found.extra, found.learning_rate, found.metric_warmup) == (2, 3e-4, 5_000)
