"""`mbrl-taskmet evaluate` and `mbrl-taskmet weights`."""

import json
import os
import shutil
import sys

import gymnasium as gym
import matplotlib.image
import numpy as np
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.envs.registration import EnvSpec
from matplotlib.figure import Figure
from moviepy import VideoFileClip

from mbrl_taskmet import MLE, TaskMet
from mbrl_taskmet.agents import MetricWeights
from mbrl_taskmet.runs.run_folder import RunFolder


@pytest.fixture
def folder(trained):
    return trained[1]


@pytest.fixture
def spoiled(folder, tmp_path):
    """A copy of a run, to be damaged."""
    return RunFolder(shutil.copytree(folder / "seed-3", tmp_path / "spoiled"))


@pytest.fixture
def copied(folder, tmp_path):
    """A copy of the runs, to be added to."""
    return shutil.copytree(folder, tmp_path / "copied")


def refused(result, run):
    status, output, complaint = result
    assert status == 2
    assert output == ""
    assert complaint.startswith("mbrl-taskmet: ")
    assert complaint.count("\n") == 1
    assert str(run.path) in complaint
    return complaint


def test_an_agent_is_evaluated(cli, folder):
    status, output, complaint = cli("evaluate", folder / "seed-3", "--episodes", 3)
    assert (status, complaint) == (0, "")
    assert "seed-3" in output.replace("\n", "")
    assert "mean return" in output


def test_the_agents_of_all_seeds_are_evaluated_as_json(cli, folder):
    status, output, _ = cli("evaluate", folder, "--episodes", 8, "--json")
    assert status == 0
    results = json.loads(output)
    assert [result["run"] for result in results] == [str(folder / f"seed-{s}") for s in (3, 4)]
    assert all(len(result["episode_returns"]) == 8 for result in results)
    again = json.loads(cli("evaluate", folder, "--episodes", 8, "--json")[1])
    assert again == results
    other = json.loads(cli("evaluate", folder, "--episodes", 8, "--json", "--seed", 7)[1])
    assert other != results


@pytest.mark.parametrize("seed", [0, 7, 11])
def test_returns_are_those_of_the_greedy_agent(cli, folder, seed):
    options = ("--episodes", 1, "--seed", seed, "--json")
    (result,) = json.loads(cli("evaluate", folder / "seed-3", *options)[1])
    agent = TaskMet.load(folder / "seed-3" / "agent.zip")
    env = gym.make("mbrl_taskmet/NoisyCartPole-v0", num_distractors=2)
    observation, _ = env.reset(seed=seed)
    total, over = 0.0, False
    while not over:
        action, _ = agent.predict(observation, deterministic=True)
        observation, reward, terminated, truncated, _ = env.step(action)
        total, over = total + reward, terminated or truncated
    assert result["episode_returns"] == [total]


def test_returns_are_in_the_order_of_the_episodes(cli, folder):
    def returns(seed, episodes):
        options = ("--seed", seed, "--episodes", episodes, "--json")
        (result,) = json.loads(cli("evaluate", folder / "seed-3", *options)[1])
        return result["episode_returns"]

    together = returns(7, episodes=6)
    assert together == [returns(seed, episodes=1)[0] for seed in range(7, 13)]
    assert together != sorted(together)  # in which order the episodes end


def test_a_film_shows_the_first_episode(cli, copied):
    options = ("--episodes", 1, "--seed", 7, "--json")
    plain, filmed = (
        json.loads(cli("evaluate", copied / "seed-3", *options, *video)[1])[0]
        for video in ([], ["--video"])
    )
    film = filmed.pop("video")
    assert filmed == plain
    clip = VideoFileClip(film)
    assert clip.fps == gym.make("CartPole-v1").metadata["render_fps"]
    steps = plain["episode_returns"][0]  # CartPole pays one a step
    assert clip.duration * clip.fps == pytest.approx(steps + 1, abs=0.5)
    first, last = clip.get_frame(0), clip.get_frame(clip.duration - 1 / clip.fps)
    clip.close()
    assert (first != last).any()
    assert first.std() > 5


def test_films_of_all_seeds_are_announced_and_replaced(cli, copied):
    for _ in range(2):
        status, output, complaint = cli("evaluate", copied, "--episodes", 1, "--video")
        assert (status, complaint) == (0, "")
        for seed in (3, 4):
            assert f"seed-{seed}: film in evaluation.mp4" in output.replace("\n", "")


def not_filmed(result, reason):
    status, output, complaint = result
    assert (status, output) == (2, "")
    assert complaint.count("\n") == 1
    assert complaint.startswith("mbrl-taskmet: mbrl_taskmet/NoisyCartPole-v0 cannot be filmed")
    assert reason in complaint
    assert "pip install 'mbrl-taskmet[video]'" in complaint


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a display")
@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "egl"),
        ({"MUJOCO_GL": ""}, "egl"),
        ({"MUJOCO_GL": "osmesa"}, "osmesa"),
        ({"DISPLAY": ":0"}, None),
    ],
)
def test_without_a_display_mujoco_renders_off_screen(cli, copied, monkeypatch, variables, expected):
    environ = {k: v for k, v in os.environ.items() if "DISPLAY" not in k and k != "MUJOCO_GL"}
    monkeypatch.setattr(os, "environ", environ | variables)
    assert cli("evaluate", copied / "seed-3", "--episodes", 1, "--video")[0] == 0
    assert os.environ.get("MUJOCO_GL") == expected


@pytest.mark.parametrize("package", ["moviepy", "pygame"])
def test_a_film_without_the_packages_for_it_is_refused(cli, copied, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    result = cli("evaluate", copied / "seed-3", "--episodes", 1, "--video")
    not_filmed(result, f"{package} is not installed" if package == "pygame" else "MoviePy is not")


def test_an_environment_whose_renderer_fails_is_refused(cli, copied, monkeypatch):
    def fail(self):
        raise AttributeError("no display\nhere.")

    monkeypatch.setattr(CartPoleEnv, "render", fail)
    not_filmed(cli("evaluate", copied / "seed-3", "--video"), "(no display here)")


def test_an_environment_that_offers_no_pictures_is_refused_before_any_episode(
    cli, copied, monkeypatch
):
    class Dark(gym.Env):
        observation_space = gym.spaces.Box(-1, 1, (4,), np.float32)
        action_space = gym.spaces.Discrete(2)

        def __init__(self):
            """Takes no render mode."""

    monkeypatch.setitem(gym.registry, "Dark-v0", EnvSpec("Dark-v0", Dark))
    config = json.loads((copied / "seed-4" / "config.json").read_text())
    config["environment"]["env"] = "Dark-v0"
    (copied / "seed-4" / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(CartPoleEnv, "step", None)
    assert cli("evaluate", copied, "--video") == (
        2,
        "",
        'mbrl-taskmet: Dark-v0 offers no render_mode "rgb_array": add one, or leave out --video.\n',
    )


def test_weights_are_shown_as_a_table(cli, folder):
    status, output, complaint = cli("weights", folder / "seed-3")
    assert (status, complaint) == (0, "")
    assert "Learned weights" in output
    assert "pole_angular_velocity" in output
    shown = cli("weights", folder / "seed-3", "--rows", 2)[1]
    assert "4 more dimensions not shown" in shown


def test_weights_are_given_as_json(cli, folder):
    status, output, _ = cli("weights", folder / "seed-3", "--json")
    assert status == 0
    expected = TaskMet.load(folder / "seed-3" / "agent.zip").metric_weights().as_dict()
    found = json.loads(output)
    assert list(found) == list(expected)
    for name, entry in expected.items():
        assert found[name]["rank"] == entry["rank"]
        assert found[name]["weight"] == pytest.approx(entry["weight"], rel=1e-5)


def test_weights_of_several_seeds_are_averaged(cli, folder):
    found = json.loads(cli("weights", folder, "--json")[1])
    names, _, one = RunFolder(folder / "seed-3").read_weights()
    _, _, other = RunFolder(folder / "seed-4").read_weights()
    mean = (one[-1] + other[-1]) / 2
    np.testing.assert_allclose([found[name]["weight"] for name in names], mean, rtol=1e-5)
    assert "mean of 2 runs" in cli("weights", folder)[1]


def test_the_table_and_the_file_tell_weights_per_standard_deviation_and_per_unit(cli, folder):
    runs = [RunFolder(folder / f"seed-{seed}") for seed in (3, 4)]
    agents = [TaskMet.load(run.agent).metric_weights() for run in runs]
    found = json.loads(cli("weights", folder, "--json")[1])
    for name, entry in found.items():
        i = agents[0].names.index(name)
        per_std = np.mean([weights.per_std[i] for weights in agents])
        per_unit = np.mean([weights.per_unit[i] for weights in agents])
        assert entry["weight_per_std"] == pytest.approx(per_std)
        assert entry["weight_per_unit"] == pytest.approx(per_unit)
    header = cli("weights", folder)[1].splitlines()[2]
    assert [cell.strip() for cell in header.split("┃")][3:6] == ["weight", "per std", "per unit"]


def test_an_old_run_folder_still_tells_its_weights(cli, spoiled):
    spoiled.metric.unlink()
    names, _, weights = spoiled.read_weights()
    found = json.loads(cli("weights", spoiled.path, "--json", "--png", "weights.png")[1])
    assert set(found["pole_angle"]) == {"weight", "rank"}
    assert [found[name]["weight"] for name in names] == pytest.approx(weights[-1])


def test_damaged_details_of_the_metric_are_refused(cli, spoiled):
    spoiled.metric.write_bytes(spoiled.metric.read_bytes()[:100])
    assert "is damaged: train" in refused(cli("weights", spoiled.path), spoiled)


@pytest.fixture
def drawn(monkeypatch):
    """The panels of each figure that is saved."""
    panels = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (panels.append(self.axes), save(self, *a, **k))
    )
    return panels


def test_a_full_metric_is_drawn_as_its_matrix(cli, spoiled, drawn):
    names, _, weights = spoiled.read_weights()
    matrix = np.arange(36.0).reshape(6, 6) - 10
    MetricWeights(tuple(names), weights[-1], matrix=matrix).save(spoiled.metric)
    assert cli("weights", spoiled.path, "--png", "weights.png")[0] == 0
    (panel,) = [axes for axes in drawn[-1] if axes.images]
    np.testing.assert_array_equal(panel.images[0].get_array(), matrix)
    assert panel.images[0].get_clim() == (-25, 25)
    assert [label.get_text() for label in panel.get_xticklabels()] == names


def test_a_conditional_metric_is_told_and_drawn_by_its_quantiles(cli, spoiled, drawn):
    names, _, weights = spoiled.read_weights()
    quantiles = np.arange(1.0, 6)[:, None] * weights[-1]
    MetricWeights(tuple(names), weights[-1], quantiles=quantiles).save(spoiled.metric)
    status, output, _ = cli("weights", spoiled.path, "--json", "--png", "weights.png")
    assert status == 0
    entry = json.loads(output)["pole_angle"]
    assert list(entry["quantiles"]) == ["0.05", "0.25", "0.5", "0.75", "0.95"]
    expected = entry["weight"] * np.arange(1, 6)
    np.testing.assert_allclose(list(entry["quantiles"].values()), expected)
    assert "5–95 %" in cli("weights", spoiled.path)[1]
    boxes = drawn[-1][0].containers[1]
    np.testing.assert_allclose([box.get_x() for box in boxes], quantiles[1])
    np.testing.assert_allclose([box.get_width() for box in boxes], quantiles[3] - quantiles[1])


def test_weights_are_drawn(cli, folder, tmp_path):
    status, _, _ = cli("weights", folder, "--png", tmp_path / "weights.png")
    assert status == 0
    assert matplotlib.image.imread(tmp_path / "weights.png").std() > 0.05


@pytest.mark.parametrize("command", ["evaluate", "weights"])
def test_what_is_no_run_folder_is_refused(cli, tmp_path, command):
    for path in (tmp_path, tmp_path / "nowhere"):
        status, _, complaint = cli(command, path)
        assert status == 2
        assert complaint.startswith("mbrl-taskmet: ")
        assert str(path) in complaint


@pytest.mark.parametrize(
    "arguments", [("evaluate", "--episodes", 0), ("weights", "--rows", -1)], ids=str
)
def test_sizes_that_are_not_positive_are_refused(cli, folder, arguments):
    command, *options = arguments
    status, output, complaint = cli(command, folder, *options)
    assert (status, output) == (2, "")
    assert options[0] in complaint


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", "null", '{"hyperparameters": {"class": "OMGConfig"}}']
)
def test_a_damaged_configuration_is_refused(cli, spoiled, text):
    spoiled.config.write_text(text)
    assert "damaged" in refused(cli("evaluate", spoiled.path), spoiled)


def test_a_configuration_with_an_unknown_hyperparameter_is_refused(cli, spoiled):
    config = json.loads(spoiled.config.read_text())
    config["hyperparameters"]["gama"] = 1
    spoiled.config.write_text(json.dumps(config))
    assert "gama" in refused(cli("evaluate", spoiled.path), spoiled)


@pytest.mark.parametrize(
    "text", ["", "timesteps,a,b", "timesteps,a,b\n", "timesteps,a,b\n0,1\n", "timesteps,a\n0,x\n"]
)
def test_damaged_or_missing_weights_are_refused(cli, spoiled, text):
    spoiled.weights.write_text(text)
    assert "weights" in refused(cli("weights", spoiled.path), spoiled)


def test_what_an_interruption_has_left_of_a_row_is_not_read(spoiled):
    """Of either file, cut within a number of its last row."""
    _, timesteps, weights = spoiled.read_weights()
    evaluations = spoiled.read_evaluations()
    for path in (spoiled.weights, spoiled.evaluations):
        whole = path.read_bytes().rstrip(b"\r\n")
        path.write_bytes(whole[:-2])
    _, some_timesteps, some_weights = spoiled.read_weights()
    assert some_timesteps.tolist() == timesteps[:-1].tolist()
    assert some_weights.tolist() == weights[:-1].tolist()
    assert spoiled.read_evaluations() == evaluations[:-1]


def test_weights_that_are_no_text_are_refused(cli, spoiled):
    whole = spoiled.weights.read_bytes()
    spoiled.weights.write_bytes(whole[:40] + b"\xff\xfe\x00" + whole[40:])
    assert f"{spoiled.weights.name} is damaged: " in refused(cli("weights", spoiled.path), spoiled)


def test_a_row_of_another_length_is_refused_though_the_numbers_add_up(cli, spoiled):
    spoiled.weights.write_text("timesteps,a\n0,1,2\n3,4,5\n")
    assert "one for each column" in refused(cli("weights", spoiled.path), spoiled)


@pytest.mark.filterwarnings("ignore:.*reward is a NaN value")  # Gymnasium says so first
def test_an_evaluation_stops_at_what_is_not_finite(cli, folder, monkeypatch):
    def step(self, action):
        observation, _, *rest = original(self, action)
        return observation, np.nan, *rest

    original = CartPoleEnv.step
    monkeypatch.setattr(CartPoleEnv, "step", step)
    status, output, complaint = cli("evaluate", folder / "seed-3", "--episodes", 1)
    assert (status, output) == (1, "")
    assert complaint.startswith("mbrl-taskmet: The environment returned the reward nan at step 1:")


def test_a_run_without_an_agent_is_refused_before_any_episode(cli, copied, monkeypatch):
    run = RunFolder(copied / "seed-4")
    run.agent.unlink()
    run.checkpoint.unlink()
    monkeypatch.setattr(CartPoleEnv, "step", None)
    assert "neither agent.zip nor checkpoint.zip" in refused(cli("evaluate", copied), run)


def test_an_interrupted_run_is_read_as_far_as_it_came(cli, copied):
    run = RunFolder(copied / "seed-4")
    run.agent.unlink()
    status, output, _ = cli("evaluate", copied, "--episodes", 3)
    assert status == 0
    assert output.replace("\n", "").count("not finished, so evaluated as in checkpoint.zip") == 1
    found = json.loads(cli("evaluate", copied, "--episodes", 3, "--json")[1])
    assert [result["agent"] for result in found] == ["agent.zip", "checkpoint.zip"]
    run.checkpoint.rename(run.agent)
    finished = json.loads(cli("evaluate", copied, "--episodes", 3, "--json")[1])
    assert finished[1]["episode_returns"] == found[1]["episode_returns"]


def test_the_weights_of_an_interrupted_run_say_after_how_many_steps(cli, copied):
    assert "not finished" not in cli("weights", copied)[1]
    (copied / "seed-4" / "agent.zip").unlink()
    text = (copied / "seed-4" / "weights.csv").read_text()
    for run in ("seed-3", "seed-4"):
        (copied / run / "weights.csv").write_text("".join(text.splitlines(True)[:50]))
    steps = text.splitlines()[49].split(",")[0]
    assert f"not finished: after {steps} steps" in cli("weights", copied)[1]


def test_a_damaged_agent_is_refused(cli, spoiled):
    spoiled.agent.write_bytes(spoiled.agent.read_bytes()[:1_000])
    assert "cannot be loaded as TaskMet" in refused(cli("evaluate", spoiled.path), spoiled)


def test_an_agent_of_another_class_or_environment_is_refused(cli, spoiled):
    MLE("MlpPolicy", "CartPole-v1").save(spoiled.agent)
    assert "cannot be loaded as TaskMet" in refused(cli("evaluate", spoiled.path), spoiled)


def test_runs_of_different_environments_are_not_averaged(cli, folder, spoiled, tmp_path):
    shutil.copytree(folder / "seed-4", tmp_path / "seed-4")
    text = spoiled.weights.read_text()
    spoiled.weights.write_text(text.replace("distractor_1", "something_else"))
    status, _, complaint = cli("weights", tmp_path)
    assert status == 2
    assert "one run at a time" in complaint
