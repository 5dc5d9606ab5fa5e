"""The agents are Stable-Baselines3 algorithms: what a user of SB3 does works unchanged."""

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common import base_class, off_policy_algorithm
from stable_baselines3.common.callbacks import CheckpointCallback, EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecNormalize
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mbrl_taskmet import MLE, TaskMet, VaGraM
from mbrl_taskmet.agents import ModelBasedAlgorithm

CART_POLE_NAMES = ("cart_position", "cart_velocity", "pole_angle", "pole_angular_velocity")
NOISY_CART_POLE = "mbrl_taskmet/NoisyCartPole-v0"


@pytest.fixture(scope="module")
def observations():
    return np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)


def greedy(agent, observations):
    return agent.predict(observations, deterministic=True)[0]


def noisy_vec_env(n_envs, seed=0):
    return make_vec_env(NOISY_CART_POLE, n_envs, seed, env_kwargs={"num_distractors": 2})


def test_learning_takes_the_steps_asked_for_and_an_update_after_each_but_the_first_ones(
    agent_class, make_agent
):
    agent = make_agent(agent_class)
    assert agent.learn(120) is agent
    assert agent.num_timesteps == 120
    assert agent._n_updates == 120 - agent.learning_starts
    assert all(np.isfinite(value) for value in agent.last_info.values())


def test_learning_again_starts_counting_anew_or_goes_on(make_agent):
    agent = make_agent(MLE)
    agent.learn(80)
    agent.learn(30, reset_num_timesteps=False)
    assert agent.num_timesteps == 110
    agent.learn(60)
    assert agent.num_timesteps == 60


def test_learning_no_steps_is_refused(make_agent):
    with pytest.raises(ValueError, match="total_timesteps must be positive; got 0"):
        make_agent(MLE).learn(0)


def test_learning_without_an_environment_is_refused(make_agent, tmp_path):
    make_agent(MLE).save(tmp_path / "agent.zip")
    with pytest.raises(ValueError, match="no environment to learn in: pass env to load"):
        MLE.load(tmp_path / "agent.zip").learn(10)


def test_actions_are_predicted_for_one_observation_and_for_many(
    agent_class, make_agent, observations
):
    agent = make_agent(agent_class)
    one, state = agent.predict(observations[0])
    assert state is None
    assert agent.action_space.contains(one)
    many, _ = agent.predict(observations)
    assert many.shape == (40,)
    assert set(many) <= {0, 1}
    singly = [greedy(agent, observation) for observation in observations]
    np.testing.assert_array_equal(greedy(agent, observations), singly)


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 6)])
def test_an_observation_of_another_shape_is_refused_with_both_shapes(make_agent, shape):
    with pytest.raises(ValueError, match=r"shape") as refused:
        make_agent(MLE).predict(np.zeros(shape, np.float32))
    assert str(shape) in str(refused.value)
    assert "(6,)" in str(refused.value)


def test_callbacks_see_every_step_and_can_stop(agent_class, make_agent):
    agent = make_agent(agent_class)
    seen = []
    agent.learn(200, callback=lambda local, _: seen.append(local["self"].num_timesteps) or True)
    assert seen == list(range(1, 201))
    agent.learn(200, callback=lambda local, _: local["self"].num_timesteps < 70)
    assert agent.num_timesteps == 70


def test_stable_baselines_own_callbacks_work(make_agent, make_env, tmp_path):
    agent = make_agent(TaskMet)
    evaluation = EvalCallback(
        Monitor(make_env()), eval_freq=50, n_eval_episodes=2, verbose=0,
        best_model_save_path=str(tmp_path / "best"), log_path=str(tmp_path),
    )  # fmt: skip
    checkpoints = CheckpointCallback(60, str(tmp_path), save_replay_buffer=True)
    agent.learn(120, callback=[evaluation, checkpoints])
    assert np.load(tmp_path / "evaluations.npz")["timesteps"].tolist() == [50, 100]
    assert (tmp_path / "best" / "best_model.zip").exists()
    assert TaskMet.load(tmp_path / "rl_model_60_steps.zip").num_timesteps == 60
    assert (tmp_path / "rl_model_replay_buffer_120_steps.pkl").exists()


def test_policies_are_evaluated(agent_class, make_agent, make_env):
    agent = make_agent(agent_class)
    returns, lengths = evaluate_policy(
        agent, Monitor(make_env()), n_eval_episodes=3, return_episode_rewards=True
    )
    assert returns == lengths  # CartPole gives one a step
    assert min(lengths) > 5


def test_a_monitor_writes_the_episodes_of_training(make_agent, make_env, tmp_path):
    agent = make_agent(MLE, Monitor(make_env(), str(tmp_path / "log")))
    agent.learn(150)
    agent.get_env().close()
    _, header, *episodes = (tmp_path / "log.monitor.csv").read_text().splitlines()
    assert len(episodes) == agent._episode_num > 2
    column = header.split(",").index("l")
    assert sum(int(episode.split(",")[column]) for episode in episodes) <= 150


def test_tensorboard_gets_the_losses_the_returns_and_the_weights(make_agent, tmp_path):
    agent = make_agent(TaskMet, tensorboard_log=str(tmp_path))
    agent.learn(200, log_interval=1)
    events = EventAccumulator(str(tmp_path / "TaskMet_1")).Reload()
    names = ("model_loss", "model_mse", "critic_loss", "task_loss", "hypergradient_norm")
    expected = {f"train/{name}" for name in (*names, "solver_residual")}
    expected |= {f"metric/weight_{name}" for name in agent.dimension_names}
    expected |= {"rollout/ep_rew_mean", "rollout/ep_len_mean"}
    assert expected <= set(events.Tags()["scalars"])
    assert [e.step for e in events.Scalars("train/critic_loss")][-1] > agent.learning_starts


def test_a_quiet_agent_prints_nothing_and_a_verbose_one_its_log(make_agent, capsys):
    make_agent(MLE).learn(150)
    assert capsys.readouterr().out == ""
    make_agent(MLE, verbose=1).learn(150)
    printed = capsys.readouterr().out
    assert "Wrapping the env in a DummyVecEnv" in printed
    assert "critic_loss" in printed
    assert "ep_rew_mean" in printed


def test_a_progress_bar_is_shown_and_changes_nothing(make_agent, snapshot, differences, capsys):
    quiet, shown = make_agent(MLE).learn(100), make_agent(MLE)
    shown.learn(100, progress_bar=True)
    captured = capsys.readouterr()
    assert "100/100" in captured.out + captured.err
    assert differences(snapshot(quiet), snapshot(shown)) == []


def test_a_progress_bar_says_what_it_waits_for(make_agent, capsys, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    make_agent(TaskMet, compile=True).learn(100, progress_bar=True)
    assert "compiling" in capsys.readouterr().out


def test_an_agent_learns_in_another_environment_of_the_same_spaces(make_agent, make_env):
    agent = make_agent(TaskMet)
    agent.learn(60)
    other = make_vec_env(make_env, 1)
    agent.set_env(other)
    assert agent.get_env() is other
    agent.learn(60, reset_num_timesteps=False)
    assert agent.num_timesteps == 120
    with pytest.raises(ValueError, match="Observation spaces do not match"):
        agent.set_env(make_env(num_distractors=3))


def test_an_environment_can_be_given_by_its_id(agent_class, make_agent):
    agent = make_agent(agent_class, "CartPole-v1")
    agent.learn(60)
    assert agent.metric_weights().names == CART_POLE_NAMES


def test_a_noisy_environment_can_be_given_by_its_id_and_names_its_dimensions(make_agent):
    names = make_agent(MLE, NOISY_CART_POLE).metric_weights().names
    assert names[:5] == (*CART_POLE_NAMES, "distractor_0")
    assert len(names) == 20


@pytest.mark.parametrize("vec_env", [DummyVecEnv, SubprocVecEnv])
def test_vectorised_environments_name_their_dimensions_where_they_can(make_agent, vec_env):
    """What runs in a process of its own is not looked into: it needs names of its own."""
    envs = [
        make_vec_env(env_id, 2, vec_env_cls=vec_env)
        for env_id in (f"mbrl_taskmet:{NOISY_CART_POLE}", "CartPole-v1")
    ]
    names = [make_agent(MLE, env).dimension_names[:4] for env in envs]
    for env in envs:
        env.close()
    numbered = tuple(f"observation_{i}" for i in range(4))
    assert names == [CART_POLE_NAMES, CART_POLE_NAMES if vec_env is DummyVecEnv else numbered]


def test_dimensions_that_a_wrapper_changed_are_numbered(make_agent, make_env, tmp_path):
    agent = make_agent(TaskMet, gym.wrappers.TimeAwareObservation(make_env()))
    assert agent.metric_weights().names == tuple(f"observation_{i}" for i in range(7))
    agent.learn(100, log_interval=1)
    turned = gym.wrappers.TransformObservation(gym.make("CartPole-v1"), lambda o: o[::-1], None)
    assert make_agent(MLE, turned).dimension_names == tuple(f"observation_{i}" for i in range(4))


def test_a_wrapper_that_changes_observations_takes_their_names(make_agent, make_env):
    env = make_env()
    names = make_agent(MLE, env).dimension_names
    turned = gym.wrappers.TransformObservation(env, lambda o: o[::-1], None)
    assert make_agent(MLE, turned).dimension_names == tuple(f"observation_{i}" for i in range(6))
    turned.dimension_names = names[::-1]
    assert make_agent(MLE, turned).dimension_names == names[::-1]
    in_other_units = gym.wrappers.NormalizeObservation(env)
    assert make_agent(MLE, in_other_units).dimension_names == names


def test_names_of_dimensions_that_are_no_names_are_refused(make_agent):
    env = gym.make("CartPole-v1")
    env.unwrapped.dimension_names = ("x", "x", "angle", "speed")
    with pytest.raises(ValueError, match="must be different names"):
        make_agent(MLE, env)


def test_a_saved_agent_acts_as_before(agent_class, make_agent, observations, tmp_path):
    agent = make_agent(agent_class).learn(100)
    agent.save(tmp_path / "agent")
    for path in (tmp_path / "agent", tmp_path / "agent.zip", str(tmp_path / "agent.zip")):
        loaded = agent_class.load(path)
        np.testing.assert_array_equal(greedy(loaded, observations), greedy(agent, observations))


def test_a_loaded_agent_has_the_configuration_names_and_weights_of_the_saved_one(
    agent_class, make_agent, tmp_path
):
    agent = make_agent(agent_class, gamma=0.9, temperature=0.5).learn(100)
    agent.save(tmp_path / "agent.zip")
    loaded = agent_class.load(tmp_path / "agent.zip")
    assert loaded.config == agent.config
    assert loaded.dimension_names == agent.dimension_names
    if agent_class is VaGraM:  # whose weights are those of its experience
        agent.save_replay_buffer(tmp_path / "replay.pkl")
        loaded.load_replay_buffer(tmp_path / "replay.pkl")
    assert loaded.metric_weights().as_dict() == agent.metric_weights().as_dict()


def rate_of(agent, level):
    return getattr(agent.learner.update, f"{level}_optimizer").learning_rate


@pytest.mark.parametrize(
    ("name", "value", "in_force"),
    [
        ("gamma", 0.5, lambda agent: agent.learner.update.gamma),
        ("tau", 0.5, lambda agent: agent.learner.update.tau),
        ("learning_rate", 0.5, lambda agent: rate_of(agent, "critic")),
        ("model_learning_rate", 0.5, lambda agent: rate_of(agent, "model")),
        ("metric_learning_rate", 0.5, lambda agent: rate_of(agent, "metric")),
        ("temperature", 0.5, lambda agent: agent.learner.update.critic.temperature),
        ("temperature", 0.5, lambda agent: agent.policy.critic.temperature),
        ("exploration_epsilon", 0.5, lambda agent: agent.policy.exploration_epsilon),
        ("verbose", 1, lambda agent: agent.verbose),
    ],
)
def test_a_setting_given_at_loading_is_in_force(make_agent, tmp_path, name, value, in_force):
    make_agent(TaskMet).save(tmp_path / "agent.zip")
    assert in_force(TaskMet.load(tmp_path / "agent.zip")) != value
    loaded = TaskMet.load(tmp_path / "agent.zip", **{name: value})
    assert getattr(loaded, name) == in_force(loaded) == value


@pytest.mark.parametrize("name", ["temperature", "exploration_epsilon"])
def test_a_setting_given_at_loading_wins_over_the_policys_keywords(make_agent, tmp_path, name):
    make_agent(MLE, policy_kwargs={name: 0.25}).save(tmp_path / "first.zip")
    first = MLE.load(tmp_path / "first.zip")
    MLE.load(tmp_path / "first.zip", **{name: 0.5}).save(tmp_path / "second.zip")
    for agent, value in [(first, 0.25), (MLE.load(tmp_path / "second.zip"), 0.5)]:
        policy = agent.policy
        acted_by = {"temperature": policy.critic.temperature}.get(name, policy.exploration_epsilon)
        assert getattr(agent, name) == acted_by == value


def test_normalising_can_be_left_off_at_loading(make_agent, make_env, tmp_path):
    agent = make_agent(MLE).learn(120)
    agent.save(tmp_path / "agent.zip")
    loaded = MLE.load(tmp_path / "agent.zip", env=make_env(), normalize_observations=False)
    # It acts in the units that it has learned in, until it learns in others.
    observations = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    np.testing.assert_array_equal(greedy(loaded, observations), greedy(agent, observations))
    loaded.learn(1, reset_num_timesteps=False)
    mean, scale, largest = loaded.learner.state.normalizer
    assert torch.equal(mean, torch.zeros(6))
    assert torch.equal(scale, torch.ones(6))
    assert largest == torch.inf


def test_without_a_seed_torchs_global_generator_decides(make_agent):
    def first_parameters():
        return make_agent(MLE, seed=None).learner.state.model

    torch.manual_seed(5)
    first, second = first_parameters(), first_parameters()
    torch.manual_seed(5)
    assert torch.equal(first_parameters(), first)
    assert not torch.equal(first, second)


def test_a_setting_out_of_range_is_refused_at_loading_too(make_agent, tmp_path):
    make_agent(MLE).save(tmp_path / "agent.zip")
    with pytest.raises(ValueError, match="gamma must be between 0 and 1; got 2"):
        MLE.load(tmp_path / "agent.zip", gamma=2)


def test_replay_is_saved_and_loaded(make_agent, snapshot, differences, tmp_path):
    agent, other = make_agent(MLE).learn(120), make_agent(MLE, seed=1)
    agent.save_replay_buffer(tmp_path / "replay")
    other.load_replay_buffer(tmp_path / "replay")
    assert other.replay_buffer.size() == 120
    assert torch.equal(other.replay_buffer._rows, agent.replay_buffer._rows)
    other.learn(80)
    assert other.replay_buffer.size() == 200


def start_by_training(agent):
    agent.train(1, 16)


def start_by_learning(agent):
    agent.learn(1)


@pytest.mark.parametrize("start", [start_by_training, start_by_learning])
@pytest.mark.parametrize("outer_std", [1.0, 2.0], ids=["", "VecNormalize"])
def test_loaded_experience_gives_observations_their_units(make_agent, tmp_path, start, outer_std):
    make_agent(MLE).learn(120).save_replay_buffer(tmp_path / "replay")
    env = noisy_vec_env(1)
    if outer_std != 1:
        env = VecNormalize(env, clip_obs=1e6)
        env.obs_rms.var[:] = outer_std**2
    agent = make_agent(MLE, env)
    agent.load_replay_buffer(tmp_path / "replay")
    _, reached, *_ = np.split(agent.replay_buffer._rows[:120, 0].numpy(), [9, 15], axis=1)
    start(agent)
    assert agent.learner.num_observed == 120 + agent.num_timesteps
    if start is start_by_training:
        std = reached.std(0) / outer_std
        np.testing.assert_allclose(agent.learner.observed_std, std, rtol=1e-5)
        np.testing.assert_allclose(agent.learner.state.normalizer.scale, 1 / std, rtol=1e-5)


def test_who_has_observed_does_not_count_loaded_experience_again(make_agent, make_env, tmp_path):
    agent = make_agent(MLE).learn(120)
    agent.save(tmp_path / "agent.zip")
    agent.save_replay_buffer(tmp_path / "replay")
    loaded = MLE.load(tmp_path / "agent.zip", env=make_env())
    loaded.load_replay_buffer(tmp_path / "replay")
    loaded.train(1, 16)
    np.testing.assert_array_equal(loaded.learner.observed_std, agent.learner.observed_std)


class OneInfo(gym.Wrapper):
    """An environment that says what it has to say in one dictionary for life."""

    def __init__(self, env):
        super().__init__(env)
        self.info = {}

    def reset(self, **options):
        return super().reset(**options)[0], self.info

    def step(self, action):
        return *super().step(action)[:-1], self.info


def test_final_observations_are_counted_once(make_agent, make_env):
    agent = make_agent(MLE, OneInfo(make_env())).learn(120)
    assert agent._episode_num >= 2
    assert agent.learner.num_observed == 120 + agent._episode_num


def test_agents_are_pickled_and_copied_with_all_that_they_learned(
    agent_class, make_agent, observations, capsys
):
    agent = make_agent(agent_class).learn(80)
    for other in (pickle.loads(pickle.dumps(agent)), copy.deepcopy(agent)):
        np.testing.assert_array_equal(greedy(other, observations), greedy(agent, observations))
        other.learn(80, reset_num_timesteps=False)
        assert (other.num_timesteps, agent.num_timesteps) == (160, 80)
        other.verbose = 1
        capsys.readouterr()
        other.announce("compiling")
        assert capsys.readouterr().out == "compiling\n"


def named(*names):
    """CartPole whose dimensions have these names."""
    env = gym.make("CartPole-v1")
    env.unwrapped.dimension_names = names
    return env


def test_an_environment_of_another_order_of_dimensions_is_refused(make_agent, tmp_path):
    agent = make_agent(TaskMet, named("x", "speed", "angle", "turn"))
    agent.save(tmp_path / "agent.zip")
    other = named("x", "angle", "speed", "turn")
    where = "dimension 1 of the environment is angle, where speed was learned"
    with pytest.raises(ValueError, match=rf"cannot be loaded as TaskMet here \({where}\)"):
        TaskMet.load(tmp_path / "agent.zip", env=other)
    with pytest.raises(ValueError, match=f"does not fit, since {where}: keep the order"):
        agent.set_env(other)
    assert agent.env.get_attr("dimension_names")[0] == agent.dimension_names
    for env in (named("x", "speed", "angle", "turn"), gym.make("CartPole-v1"), named(*"abcd")):
        agent.set_env(env)
        assert TaskMet.load(tmp_path / "agent.zip", env=env).dimension_names[1] == "speed"


def test_environments_that_differ_in_their_dimensions_are_refused_together(make_agent):
    def make(*orders):
        return make_agent(MLE, DummyVecEnv([lambda names=names: named(*names) for names in orders]))

    assert make("abcd", "abcd").dimension_names == ("a", "b", "c", "d")
    with pytest.raises(ValueError, match=r"dimensions differently.*: make all alike"):
        make("abcd", "acbd")


def test_parameters_carry_all_that_was_learned(agent_class, make_agent, observations, differences):
    learned, fresh = make_agent(agent_class).learn(120), make_agent(agent_class, seed=1)
    fresh.set_parameters(learned.get_parameters())
    for one, other in zip(fresh.learner.state, learned.learner.state, strict=True):
        assert all(map(torch.equal, one, other)) if isinstance(one, tuple) else one.equal(other)
    np.testing.assert_array_equal(greedy(fresh, observations), greedy(learned, observations))


def test_parameters_are_set_from_a_saved_agent(make_agent, observations, tmp_path):
    learned, fresh = make_agent(MLE).learn(120), make_agent(MLE, seed=1)
    learned.save(tmp_path / "agent.zip")
    assert (greedy(fresh, observations) != greedy(learned, observations)).any()
    fresh.set_parameters(str(tmp_path / "agent.zip"))
    np.testing.assert_array_equal(greedy(fresh, observations), greedy(learned, observations))


def test_a_policy_is_saved_alone(agent_class, make_agent, observations, tmp_path):
    chosen = {"temperature": 0.5, "exploration_epsilon": 0.3, "ortho_init": True}
    agent = make_agent(agent_class, **chosen).learn(100)
    agent.policy.save(str(tmp_path / "policy"))
    policy = type(agent.policy).load(str(tmp_path / "policy"))
    np.testing.assert_array_equal(greedy(policy, observations), greedy(agent, observations))
    assert (policy.critic, policy.exploration_epsilon) == (agent.policy.critic, 0.3)


def test_policy_keywords_win_over_the_configuration_and_survive_saving(make_agent, tmp_path):
    agent = make_agent(MLE, policy_kwargs={"net_arch": (4, 4)})
    agent.save(tmp_path / "agent.zip")
    for one in (agent, MLE.load(tmp_path / "agent.zip")):
        assert one.policy.net_arch == (4, 4)
        assert one.learner.update.critic.network.sizes == (6, 4, 4, 2)
        assert one.config.critic_hidden == one.critic_hidden == (4, 4)


def test_the_configuration_says_what_policy_keywords_put_in_force(make_agent, tmp_path):
    chosen = {"temperature": 0.5, "exploration_epsilon": 0.3}
    agent = make_agent(MLE, policy_kwargs={**chosen, "input_scale": 0.5})
    assert agent.policy._network.input_scale == 0.5
    assert agent.learner.update.model.dynamics.input_scale == agent.config.input_scale == 1
    agent.save(tmp_path / "agent.zip")
    for one in (agent, MLE.load(tmp_path / "agent.zip")):
        assert (one.config.temperature, one.config.exploration_epsilon) == (0.5, 0.3)
        assert (one.policy.critic.temperature, one.policy.exploration_epsilon) == (0.5, 0.3)


@pytest.mark.parametrize(
    ("hidden", "change", "why"),
    [
        (9, lambda parameters: parameters, "does not belong to this agent"),
        (8, lambda parameters: {"learner": parameters["learner"]}, "do not match"),
        (8, lambda parameters: {**parameters, "extra": {}}, "invalid object name"),
    ],
    ids=["of-another-size", "learner-alone", "a-name-too-many"],
)
def test_parameters_that_are_refused_change_nothing(
    make_agent, snapshot, differences, hidden, change, why
):
    agent = make_agent(TaskMet).learn(80)
    other = make_agent(TaskMet, model_hidden=(hidden,), seed=1).learn(80)
    before = snapshot(agent)
    with pytest.raises(ValueError, match=why):
        agent.set_parameters(change(other.get_parameters()))
    assert not differences(before, snapshot(agent))


@pytest.mark.parametrize("name", ["agent", "agent.zip", "link.zip"])
def test_a_file_that_cannot_be_saved_whole_keeps_what_it_had(
    make_agent, observations, tmp_path, monkeypatch, name
):
    """Also where a folder beside it has its name without the ending."""
    (tmp_path / "agent").mkdir()
    (tmp_path / "link.zip").symlink_to(tmp_path / "agent.zip")
    agent = make_agent(MLE).learn(60)
    agent.save(tmp_path / "agent.zip")
    expected = greedy(agent, observations)

    def fail_midway(path, **_):
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(base_class, "save_to_zip_file", fail_midway)
    with pytest.raises(OSError, match="no space left"):
        agent.learn(60).save(tmp_path / name)
    np.testing.assert_array_equal(greedy(MLE.load(tmp_path / "agent.zip"), observations), expected)
    assert {path.name for path in tmp_path.iterdir()} == {"agent", "agent.zip", "link.zip"}
    monkeypatch.undo()
    agent.save(tmp_path / name)
    found = greedy(MLE.load(tmp_path / "agent.zip"), observations)
    np.testing.assert_array_equal(found, greedy(agent, observations))
    assert (tmp_path / "link.zip").is_symlink()


def test_experience_that_cannot_be_saved_whole_keeps_what_it_had(make_agent, tmp_path, monkeypatch):
    agent, path = make_agent(MLE).learn(60), tmp_path / "replay.pkl"
    agent.save_replay_buffer(tmp_path / "replay")
    before = path.read_bytes()

    def fail_midway(path, *_):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(off_policy_algorithm, "save_to_pkl", fail_midway)
    with pytest.raises(KeyboardInterrupt):
        agent.save_replay_buffer(tmp_path / "replay")
    assert [(file, file.read_bytes()) for file in tmp_path.iterdir()] == [(path, before)]


def test_normalised_environments_are_learned_on_normalised_transitions(agent_class, make_agent):
    env = VecNormalize(noisy_vec_env(1), gamma=0.99)
    agent = make_agent(agent_class, env)
    agent.learn(150)
    raw = agent.replay_buffer.sample(64).observations.numpy()
    assert np.abs(env.normalize_obs(raw) - raw).max() > 0.1
    (seen,) = agent.replay_buffer.sample_batches(64, 1, torch.Generator().manual_seed(1), env)
    (kept,) = agent.replay_buffer.sample_batches(64, 1, torch.Generator().manual_seed(1))
    np.testing.assert_allclose(seen.observations, env.normalize_obs(kept.observations.numpy()))
    np.testing.assert_allclose(
        seen.next_observations, env.normalize_obs(kept.next_observations.numpy())
    )
    np.testing.assert_allclose(seen.rewards, env.normalize_reward(kept.rewards.numpy()), rtol=1e-6)
    assert torch.equal(seen.actions, kept.actions)
    assert torch.equal(seen.terminations, kept.terminations)
    assert (kept.rewards == 1).all()


@pytest.mark.parametrize(("gradient_steps", "updates"), [(-1, 100), (1, 50), (3, 150), (0, 0)])
def test_two_environments_step_together(make_agent, gradient_steps, updates):
    agent = make_agent(TaskMet, noisy_vec_env(2), gradient_steps=gradient_steps)
    agent.learn(150)
    assert agent.num_timesteps == 150
    assert agent.replay_buffer.size() == 75
    assert agent._n_updates == updates


def test_updates_can_wait_for_whole_episodes(make_agent):
    agent = make_agent(MLE, train_freq=(1, "episode"), gradient_steps=-1, learning_starts=0)
    before, ended = [], []

    def note(local, _):
        before.append(agent._n_updates)
        ended.append(bool(local["dones"][0]))
        return True

    agent.learn(150, callback=note)
    assert ended[-1]
    assert sum(ended) > 3
    updated = np.diff(before, append=agent._n_updates) > 0
    assert updated.tolist() == ended
    assert agent._n_updates == agent.num_timesteps


def test_every_agent_is_a_stable_baselines_algorithm(agent_class):
    assert issubclass(agent_class, ModelBasedAlgorithm)
    assert agent_class.policy_aliases.keys() == {"MlpPolicy"}


def test_part_of_the_parameters_can_be_set_and_the_rest_stays(make_agent, observations):
    learned, fresh = make_agent(MLE).learn(120), make_agent(MLE, seed=1)
    before = {k: v.clone() for k, v in fresh.learner.state_dict().items()}
    part = {"critic": learned.learner.state_dict()["critic"]}
    fresh.set_parameters({"learner": part}, exact_match=False)
    for name, tensor in fresh.learner.state_dict().items():
        assert torch.equal(tensor, part.get(name, before[name]))
    with pytest.raises(ValueError, match="model is missing"):
        fresh.set_parameters({"learner": part, "policy": fresh.policy.state_dict()})


def test_parameters_of_the_policy_alone_are_refused(make_agent):
    """It would be overwritten by what its learner has learned."""
    agent = make_agent(MLE)
    with pytest.raises(ValueError, match='give "learner" too'):
        agent.set_parameters({"policy": agent.policy.state_dict()}, exact_match=False)


def draws(agent, observations):
    """What comes next of each random stream."""
    actions = agent.predict(np.tile(observations, (9, 1)), deterministic=False)[0]
    sampled = [agent.action_space.sample() for _ in range(50)]
    return [*actions, *sampled, *torch.rand(9, generator=agent.learner.generator).tolist()]


def test_a_seed_begins_all_streams_anew(make_agent, observations, tmp_path):
    agent = make_agent(MLE, exploration_epsilon=1.0, seed=3).learn(120)
    agent.save(tmp_path / "agent.zip")

    def loaded(**options):
        return draws(MLE.load(tmp_path / "agent.zip", **options), observations)

    assert loaded() == loaded()  # those that were saved go on
    assert loaded(seed=1) == loaded(seed=1)
    assert len({tuple(found) for found in (loaded(), loaded(seed=1), loaded(seed=2))}) == 3
    agent.set_random_seed(1)
    assert draws(agent, observations) == loaded(seed=1)


def test_an_agent_without_an_environment_and_training_without_experience_are_refused(make_agent):
    with pytest.raises(ValueError, match="There is no environment: pass one"):
        MLE("MlpPolicy", None)
    with pytest.raises(ValueError, match="has no experience to train on: let it learn"):
        make_agent(MLE).train(1, 16)


def test_a_loaded_agent_is_as_talkative_as_it_is_told(make_agent, capsys, tmp_path):
    make_agent(MLE).save(tmp_path / "agent.zip")
    for verbose, said in ((0, ""), (1, "compiling\n")):
        agent = MLE.load(tmp_path / "agent.zip", verbose=verbose)
        capsys.readouterr()
        agent.announce("compiling")
        assert capsys.readouterr().out == said
