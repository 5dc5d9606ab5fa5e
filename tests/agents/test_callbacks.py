"""Callbacks write what they say, and change nothing."""

import csv

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.callbacks import (
    BaseCallback,
    ConvertCallback,
    StopTrainingOnRewardThreshold,
)
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import configure
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mbrl_taskmet import MLE, TaskMet, VaGraM
from mbrl_taskmet.agents import DivergenceError, MetricWeights
from mbrl_taskmet.agents.callbacks import EvaluationCallback, WeightsCallback
from mbrl_taskmet.runs.environments import EnvironmentConfig

MASK = np.array([False] * 4 + [True] * 2)


class Witness(BaseCallback):
    """Notes the weights after each step and its update."""

    def __init__(self):
        super().__init__()
        self.weights = {}

    def _on_rollout_start(self):
        self.weights[self.model.num_timesteps] = self.model.metric_weights().weights

    def _on_step(self):
        return True


def read(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def evaluation(make_env, tmp_path):
    """An evaluation every fifty steps, on two environments of its own."""

    def make(**options):
        env = make_vec_env(make_env, 2, seed=1_000)
        settings = {"interval": 50, "episodes": 3, **options}
        return EvaluationCallback(env, tmp_path / "evaluations.csv", **settings)

    return make


@pytest.mark.parametrize(
    ("steps", "interval", "expected"),
    [(120, 40, [0, 40, 80, 120]), (100, 40, [0, 40, 80, 100]), (30, 1_000, [0, 30])],
)
def test_weights_are_written_every_interval_and_at_the_end_once_each(
    make_agent, tmp_path, steps, interval, expected
):
    agent, witness = make_agent(TaskMet), Witness()
    path = tmp_path / "weights.csv"
    agent.learn(steps, callback=[witness, WeightsCallback(path, interval)])
    rows = read(path)
    assert list(rows[0]) == ["timesteps", *agent.dimension_names]
    assert [int(row.pop("timesteps")) for row in rows] == expected
    written = np.array([list(map(float, row.values())) for row in rows])
    seen = [witness.weights[step] for step in expected[:-1]] + [agent.metric_weights().weights]
    np.testing.assert_allclose(written, seen, rtol=1e-5)
    if steps > 100:
        assert (written[-1] != written[0]).all()
    latest, final = MetricWeights.load(path.with_suffix(".npz")), agent.metric_weights()
    np.testing.assert_array_equal(latest.weights, final.weights)


def test_what_depends_on_experience_can_be_read_without_it(make_agent, tmp_path):
    agent = make_agent(VaGraM)
    agent.learn(100, callback=WeightsCallback(tmp_path / "weights.csv", 50))
    agent.save(tmp_path / "agent.zip")
    with pytest.raises(ValueError, match="load_replay_buffer first"):
        VaGraM.load(tmp_path / "agent.zip").metric_weights()
    found = MetricWeights.load(tmp_path / "weights.npz")
    np.testing.assert_array_equal(found.quantiles, agent.metric_weights().quantiles)


@pytest.mark.parametrize("loaded", [False, True], ids=["the same agent", "a loaded one"])
@pytest.mark.parametrize("agent_class", [TaskMet, VaGraM])
def test_files_go_on_where_training_goes_on_and_are_begun_anew_otherwise(
    make_agent, make_env, evaluation, tmp_path, agent_class, loaded
):
    agent, path = make_agent(agent_class), tmp_path / "new" / "weights.csv"
    agent.learn(100, callback=[WeightsCallback(path, 50), evaluation()])
    if loaded:
        agent.save(tmp_path / "agent.zip")
        agent = agent_class.load(tmp_path / "agent.zip", env=make_env())
    callbacks = [WeightsCallback(path, 50), evaluation(distractor_mask=MASK, interval=1)]
    agent.learn(100, callback=callbacks, reset_num_timesteps=False)
    assert [int(row["timesteps"]) for row in read(path)] == [0, 50, 100, 150, 200]
    evaluated = [int(row["timesteps"]) for row in read(tmp_path / "evaluations.csv")]
    assert evaluated == [50, 100, *range(101, 201)]
    agent.learn(60, callback=WeightsCallback(path, 50))
    assert [int(row["timesteps"]) for row in read(path)] == [0, 50, 60]


def test_what_came_after_an_earlier_checkpoint_is_left_out_where_it_goes_on(
    make_agent, make_env, evaluation, tmp_path
):
    agent, path = make_agent(TaskMet), tmp_path / "weights.csv"
    agent.learn(100, callback=[WeightsCallback(path, 50), evaluation()])
    agent.save(tmp_path / "agent.zip")
    agent.learn(80, callback=[WeightsCallback(path, 50), evaluation()], reset_num_timesteps=False)
    assert [int(row["timesteps"]) for row in read(path)] == [0, 50, 100, 150, 180]
    before = read(path)[:3]
    agent = TaskMet.load(tmp_path / "agent.zip", env=make_env())
    agent.learn(50, callback=[WeightsCallback(path, 40), evaluation()], reset_num_timesteps=False)
    assert [int(row["timesteps"]) for row in read(path)] == [0, 50, 100, 140, 150]
    assert read(path)[:3] == before
    evaluated = [int(row["timesteps"]) for row in read(tmp_path / "evaluations.csv")]
    assert evaluated == [50, 100, 150]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("timesteps,x,y\n0,1,1\n", "has other columns than are written here"),
        ("timesteps,x,y\nzero,1,1\n", "is damaged"),
        ("timesteps,x,y\n\n", "is damaged"),
        ("timesteps,x,y\n10,1,1\n20,1\n", "is damaged"),
        ("timesteps,x,", "is damaged"),
        ("", "is damaged"),
    ],
)
def test_a_file_that_cannot_go_on_is_refused_and_stays(make_agent, tmp_path, text, problem):
    path = tmp_path / "weights.csv"
    agent = make_agent(MLE).learn(20)
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"weights.csv {problem}.*: move it away"):
        agent.learn(20, callback=WeightsCallback(path), reset_num_timesteps=False)
    assert path.read_text() == text


def test_a_row_that_an_interruption_has_cut_is_left_out(make_agent, tmp_path):
    agent, path = make_agent(MLE), tmp_path / "weights.csv"
    agent.learn(100, callback=WeightsCallback(path, 50))
    path.write_text(path.read_text()[:-5])
    agent.learn(20, callback=WeightsCallback(path, 50), reset_num_timesteps=False)
    assert [int(row["timesteps"]) for row in read(path)] == [0, 50, 100, 120]
    assert set(read(path)[-1].values()) == {"120", "1"}


def test_weights_that_depend_on_experience_are_written_once_a_loaded_agent_has_some(
    make_agent, make_env, tmp_path
):
    make_agent(VaGraM).learn(100).save(tmp_path / "agent.zip")
    agent = VaGraM.load(tmp_path / "agent.zip", env=make_env())
    agent.learn(60, callback=WeightsCallback(tmp_path / "weights.csv", 50))
    assert [int(row["timesteps"]) for row in read(tmp_path / "weights.csv")] == [1, 50, 60]


def test_a_loaded_agent_can_be_stopped_before_it_has_any(make_agent, make_env, tmp_path):
    make_agent(VaGraM).learn(100).save(tmp_path / "agent.zip")
    agent = VaGraM.load(tmp_path / "agent.zip", env=make_env())
    stop = ConvertCallback(lambda *_: False)
    agent.learn(60, callback=[WeightsCallback(tmp_path / "weights.csv", 50), stop])
    assert read(tmp_path / "weights.csv") == []


def test_two_environments_write_a_row_an_interval(make_agent, make_env, tmp_path):
    agent = make_agent(MLE, make_vec_env(make_env, 2))
    agent.learn(60, callback=WeightsCallback(tmp_path / "weights.csv", 20))
    assert [int(row["timesteps"]) for row in read(tmp_path / "weights.csv")] == [0, 20, 40, 60]


def test_weights_reach_tensorboard_as_a_histogram(make_agent, tmp_path):
    agent = make_agent(TaskMet)
    agent.set_logger(configure(str(tmp_path), ["tensorboard"]))
    agent.learn(150, callback=WeightsCallback(tmp_path / "weights.csv", 20), log_interval=1)
    agent.logger.close()
    histograms = EventAccumulator(str(tmp_path)).Reload().Histograms("metric/weights")
    assert histograms
    assert {h.histogram_value.num for h in histograms} == {6}


@pytest.mark.parametrize("options", [{"interval": 0}, {"interval": -5}, {"episodes": 0}], ids=str)
def test_what_would_never_or_always_be_due_is_refused(evaluation, tmp_path, options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"^{name} must be 1 or more; got {value}"):
        evaluation(**options)
    if name == "interval":
        with pytest.raises(ValueError, match=f"^{name} must be 1 or more; got {value}"):
            WeightsCallback(tmp_path / "weights.csv", value)


@pytest.mark.parametrize(
    ("name", "here"), [("eval_freq", "interval"), ("n_eval_episodes", "episodes")]
)
def test_names_of_stable_baselines3_are_told_what_they_are_here(evaluation, name, here):
    with pytest.raises(TypeError, match=f"^EvaluationCallback has no {name}: it is `{here}`"):
        evaluation(**{name: 5})


def test_the_arrays_of_an_evaluation_go_where_they_are_asked_to(make_agent, evaluation, tmp_path):
    make_agent(MLE).learn(60, callback=evaluation(log_path=str(tmp_path / "arrays")))
    assert np.load(tmp_path / "arrays" / "evaluations.npz")["timesteps"].tolist() == [50]
    assert not (tmp_path / "evaluations.npz").exists()


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"distractor_mask": [True]}, "distractor_mask"),
        ({"mixing": np.eye(5)}, "mixing"),
        ({"mixing": np.eye(6)}, "mixed_distractors"),
    ],
)
def test_masks_of_another_environment_are_refused_before_training(
    make_agent, evaluation, options, name
):
    agent = make_agent(MLE)
    with pytest.raises(ValueError, match=f"^{name} has shape"):
        agent.learn(60, callback=evaluation(**options))
    assert agent.num_timesteps == 0


def test_an_evaluation_in_another_order_of_dimensions_is_refused_before_training(
    make_agent, make_env, tmp_path
):
    agent = make_agent(MLE)
    other = make_vec_env(lambda: make_env(permute=True), 1)
    with pytest.raises(ValueError, match=r"^The evaluation does not fit, since dimension \d of"):
        agent.learn(60, callback=EvaluationCallback(other, tmp_path / "evaluations.csv"))
    assert agent.num_timesteps == 0


def test_weights_and_what_stands_beside_them_are_two_files(tmp_path):
    with pytest.raises(ValueError, match=r"name the CSV file beside it, .*weights\.csv"):
        WeightsCallback(tmp_path / "weights.npz")


@pytest.mark.parametrize(("threshold", "steps"), [(1, 50), (1_000, 200)])
def test_an_evaluation_can_end_the_training(make_agent, evaluation, threshold, steps):
    callback = evaluation(callback_on_new_best=StopTrainingOnRewardThreshold(threshold))
    assert make_agent(MLE).learn(200, callback=callback).num_timesteps == steps


def test_no_folder_for_arrays_is_that_of_the_file(make_agent, evaluation, tmp_path):
    make_agent(MLE).learn(60, callback=evaluation(log_path=None))
    assert (tmp_path / "evaluations.npz").exists()
    assert len(read(tmp_path / "evaluations.csv")) == 1


def test_an_evaluation_takes_what_that_of_stable_baselines3_does(make_agent, evaluation, tmp_path):
    callback = evaluation(best_model_save_path=str(tmp_path), deterministic=False, verbose=1)
    assert (callback.verbose, callback.deterministic) == (1, False)
    make_agent(TaskMet).learn(60, callback=callback)
    assert TaskMet.load(tmp_path / "best_model.zip").num_timesteps == 50


def test_evaluations_are_written_with_all_columns(make_agent, evaluation, tmp_path):
    agent = make_agent(TaskMet)
    callback = evaluation(distractor_mask=MASK, checkpoint=tmp_path / "checkpoint.zip")
    errors = []
    note = ConvertCallback(
        lambda *_: agent.num_timesteps < 2 or errors.append(agent.prediction_errors()) or True
    )
    agent.learn(150, callback=[callback, note])
    rows = read(tmp_path / "evaluations.csv")
    assert tuple(rows[0]) == EvaluationCallback.COLUMNS
    assert [int(row["timesteps"]) for row in rows] == [50, 100, 150]
    saved = np.load(tmp_path / "evaluations.npz")
    for row, returns in zip(rows, saved["results"], strict=True):
        assert len(returns) == 3
        assert float(row["episode_return"]) == pytest.approx(returns.mean())
        assert float(row["episode_return_std"]) == pytest.approx(returns.std())
        assert float(row["cpu_s"]) > 0
    assert rows[0]["model_mse"] == ""  # not trained yet
    loaded = TaskMet.load(tmp_path / "checkpoint.zip")
    assert loaded.num_timesteps == 150
    separation = loaded.metric_weights().separation(MASK).as_dict()
    assert {name: float(rows[-1][name]) for name in separation} == pytest.approx(separation)
    assert float(rows[-1]["model_mse_real"]) == pytest.approx(errors[-1][:4].mean())


@pytest.mark.parametrize("mask", [None, np.zeros(6, bool), np.ones(6, bool)])
def test_there_is_no_separation_without_both_kinds_of_dimension(
    make_agent, evaluation, tmp_path, mask
):
    make_agent(MLE).learn(50, callback=evaluation(distractor_mask=mask))
    (row,) = read(tmp_path / "evaluations.csv")
    assert [row[name] for name in EvaluationCallback.COLUMNS[5:8]] == ["", "", ""]


def test_where_noise_is_mixed_in_weights_are_compared_along_what_was_mixed(make_agent, tmp_path):
    config = EnvironmentConfig(num_distractors=2, kind="projected")
    env = config.make(1, 0)
    mixing, mixed = (env.get_attr(name)[0] for name in ("mixing", "mixed_distractors"))
    callback = EvaluationCallback(
        config.make(1, 1),
        tmp_path / "evaluations.csv",
        interval=100,
        episodes=1,
        distractor_mask=env.get_attr("distractor_mask")[0],
        mixing=mixing,
        mixed_distractors=mixed,
    )
    agent, found = make_agent(TaskMet, env, metric="full"), []

    def note(*_):
        weights = agent.metric_weights().before_mixing(mixing)
        found.append(weights.separation(mixed).as_dict())
        return True

    agent.learn(100, callback=[callback, ConvertCallback(note)])
    (row,) = read(tmp_path / "evaluations.csv")
    assert {name: float(row[name]) for name in found[-1]} == pytest.approx(found[-1])


def test_the_interval_is_in_steps_of_all_environments_each_time_it_is_used(
    make_agent, make_env, evaluation, tmp_path
):
    agent = make_agent(MLE, make_vec_env(make_env, 2))
    callback = evaluation(interval=40)
    for _ in range(2):
        agent.learn(80, callback=callback)
        rows = read(tmp_path / "evaluations.csv")
        assert [int(row["timesteps"]) for row in rows] == [40, 80]


@pytest.mark.parametrize("mask", [None, MASK, ~MASK])
def test_neither_evaluation_nor_its_mask_reaches_the_agent(
    agent_class, make_agent, evaluation, snapshot, differences, tmp_path, mask
):
    alone, evaluated = make_agent(agent_class), make_agent(agent_class)
    alone.learn(120)
    callbacks = [
        evaluation(distractor_mask=mask, checkpoint=tmp_path / "checkpoint.zip"),
        WeightsCallback(tmp_path / "weights.csv", 10),
    ]
    evaluated.learn(120, callback=callbacks)
    assert differences(snapshot(alone), snapshot(evaluated)) == []


class Faulty(gym.Wrapper):
    """Spoils the observation or the reward of its third step, or the first observation."""

    def __init__(self, env, fault):
        super().__init__(env)
        self.fault = fault

    def reset(self, **options):
        self.steps = 0
        observation, info = self.env.reset(**options)
        return (observation * np.nan if self.fault == "first" else observation), info

    def step(self, action):
        observation, reward, *rest = self.env.step(action)
        self.steps += 1
        if self.steps == 3 and self.fault == "observation":
            observation[1] = np.nan
        return observation, np.nan if self.steps == 3 and self.fault == "reward" else reward, *rest


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("first", "not finite in dimension 0"),
        ("observation", r"observation nan in dimension 1 \(cart_velocity\) at step 3:"),
        ("reward", "reward nan at step 3:"),
    ],
)
def test_what_is_not_finite_in_an_evaluation_stops_the_run_and_says_where(
    make_agent, make_env, tmp_path, fault, sentence
):
    env = make_vec_env(lambda: Faulty(make_env(), fault), 2)
    callback = EvaluationCallback(env, tmp_path / "evaluations.csv", interval=60)
    with pytest.raises(
        FloatingPointError, match=rf"^In the evaluation after 60 .*{sentence}"
    ) as error:
        make_agent(MLE).learn(100, callback=callback)
    assert error.type is FloatingPointError


def test_a_learner_that_an_evaluation_finds_diverged_is_not_taken_for_a_faulty_environment(
    make_agent, make_env, tmp_path
):
    def diverge(local, _):
        local["self"].policy.acting_parameters.fill_(np.nan)

    path = tmp_path / "evaluations.csv"
    evaluation = EvaluationCallback(make_vec_env(make_env, 2), path, interval=1)
    with pytest.raises(
        DivergenceError, match=r"^In the evaluation after 1 steps: What was learned"
    ):
        make_agent(MLE).learn(10, callback=[ConvertCallback(diverge), evaluation])


def test_a_fault_of_another_environment_of_the_evaluation_is_found_too(
    make_agent, make_env, tmp_path
):
    env = DummyVecEnv([lambda: Monitor(make_env()), lambda: Faulty(make_env(), "observation")])
    callback = EvaluationCallback(env, tmp_path / "evaluations.csv", interval=60)
    with pytest.raises(FloatingPointError, match=r"observation nan in dimension 1 .* at step 3:"):
        make_agent(MLE).learn(100, callback=callback)


def test_intervals_that_one_round_took_together_are_not_made_up_for(make_agent, tmp_path):
    """Updates wait for an episode of 130 steps, and then for short ones."""
    lengths = iter([130, *[10] * 20])

    class Episodes(gym.Wrapper):
        def reset(self, **options):
            self.left = next(lengths)
            return self.env.reset(**options)

        def step(self, action):
            self.left -= 1
            observation, reward, *_ = self.env.step(self.env.action_space.sample() * 0)
            return observation, reward, False, self.left == 0, {}

    env = Episodes(gym.make("Pendulum-v1").unwrapped)
    agent = make_agent(MLE, env, train_freq=(1, "episode"), learning_starts=0)
    agent.learn(200, callback=WeightsCallback(tmp_path / "weights.csv", 20))
    rows = [int(row["timesteps"]) for row in read(tmp_path / "weights.csv")]
    assert rows == [0, 130, 140, 160, 180, 200]
