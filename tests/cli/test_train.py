"""`mbrl-taskmet train`, and what it leaves behind."""

import csv
import sys
import textwrap
from dataclasses import replace

import gymnasium as gym
import matplotlib.image
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mbrl_taskmet.agents import AGENTS, MLEConfig, TaskMet, TaskMetConfig
from mbrl_taskmet.agents.config import configure
from mbrl_taskmet.runs.environments import EnvironmentConfig
from mbrl_taskmet.runs.run_folder import RunFolder
from mbrl_taskmet.runs.training import TrainingConfig

CONFIG = TrainingConfig(
    TaskMetConfig(
        learning_starts=100, batch_size=16, critic_hidden=(8,), model_hidden=(8,), metric_warmup=50
    ),
    EnvironmentConfig(num_distractors=2),
    timesteps=300,
    eval_every=100,
    eval_episodes=2,
)
SEEDS = (3, 4)
NAMES = [
    "cart_position",
    "cart_velocity",
    "pole_angle",
    "pole_angular_velocity",
    "distractor_0",
    "distractor_1",
]

every_seed = pytest.mark.parametrize("seed", SEEDS)


@pytest.fixture
def runs(trained):
    return {seed: RunFolder(trained[1] / f"seed-{seed}") for seed in SEEDS}


def read(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def contents(folder):
    return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def plan(cli, monkeypatch):
    """What would be trained, by the name of the folder."""

    def find(*arguments):
        planned = {}

        def train_all(runs, *_, **__):
            planned.update(runs)
            return dict.fromkeys(runs, RuntimeError("not trained"))

        monkeypatch.setattr("mbrl_taskmet.cli.train.train_all", train_all)
        status, _, complaint = cli("train", *arguments)
        assert status == 1, complaint
        return {str(folder): config for folder, config in planned.items()}

    return find


def test_training_succeeds_and_prints_the_weights_and_the_returns(trained):
    result, _ = trained
    assert result.returncode == 0, result.stderr
    assert "Weights, mean of 2 runs" in result.stdout
    for seed in SEEDS:
        assert f"runs/seed-{seed}: return " in result.stdout
    assert all(name in result.stdout for name in NAMES)
    assert "300/300" in result.stdout
    assert "Traceback" not in result.stderr


@every_seed
def test_a_run_folder_holds_everything_and_nothing_else(runs, seed):
    found = {p.name for p in runs[seed].path.iterdir()}
    events = {name for name in found if name.startswith("events.out.tfevents")}
    assert events
    assert found - events == {
        "agent.zip", "checkpoint.zip", "config.json", "evaluations.csv", "evaluations.npz",
        "progress.csv", "weights.csv", "weights.npz", "weights.png",
    }  # fmt: skip


@every_seed
def test_the_configuration_reads_back_as_it_was(runs, seed):
    assert TrainingConfig.from_json(runs[seed].read_config()) == replace(CONFIG, seed=seed)


def test_a_run_depends_on_its_configuration_alone(runs):
    """Not on the process it ran in, the seed beside it, or being evaluated and recorded."""
    config = TrainingConfig.from_json(runs[3].read_config())
    expected = config.make_agent().learn(config.timesteps).get_parameters()
    found = TaskMet.load(runs[3].agent, device="cpu").get_parameters()
    for module in expected:
        for name, tensor in expected[module].items():
            assert torch.equal(found[module][name], tensor), name


def test_seeds_differ(runs):
    one, other = (TaskMet.load(runs[seed].agent).learner.state.model for seed in SEEDS)
    assert not torch.equal(one, other)


@every_seed
def test_progress_is_logged(runs, seed):
    rows = read(runs[seed].path / "progress.csv")
    assert {"time/total_timesteps", "rollout/ep_rew_mean", "train/critic_loss"} <= rows[0].keys()
    assert 100 < int(rows[-1]["time/total_timesteps"]) <= 300
    assert {f"metric/weight_{name}" for name in NAMES} <= rows[0].keys()


@every_seed
def test_evaluations_are_written(runs, seed):
    rows = runs[seed].read_evaluations()
    assert [int(row["timesteps"]) for row in rows] == [100, 200, 300]
    returns = np.load(runs[seed].path / "evaluations.npz")["results"]
    assert [float(row["episode_return"]) for row in rows] == pytest.approx(returns.mean(1))
    weights = TaskMet.load(runs[seed].checkpoint).metric_weights()
    found = weights.separation([name.startswith("distractor") for name in NAMES])
    assert float(rows[-1]["ranking_auc"]) == found.ranking_auc


@every_seed
def test_weights_over_time_end_with_those_of_the_agent(runs, seed):
    names, timesteps, weights = runs[seed].read_weights()
    assert names == NAMES
    assert (timesteps[0], timesteps[-1]) == (0, 300)
    assert (np.diff(timesteps) > 0).all()
    agent = TaskMet.load(runs[seed].agent)
    np.testing.assert_allclose(weights[0], 1)
    np.testing.assert_allclose(weights[-1], agent.metric_weights().weights, rtol=1e-5)
    assert (weights[-1] != weights[0]).all()


@every_seed
def test_tensorboard_has_scalars_the_weights_and_the_hyperparameters(runs, seed):
    events = EventAccumulator(str(runs[seed].path)).Reload()
    scalars = {"train/model_loss", "train/critic_loss", "eval/mean_reward", "rollout/ep_rew_mean"}
    scalars |= {f"metric/weight_{name}" for name in NAMES}
    assert scalars <= set(events.Tags()["scalars"])
    assert len(events.Scalars("eval/mean_reward")) >= 3
    assert "metric/weights" in events.Tags()["histograms"]
    summaries = events.summary_metadata
    (start,) = [m.plugin_data for tag, m in summaries.items() if "session_start_info" in tag]
    assert start.plugin_name == "hparams"
    for name in (b"metric_warmup", b"learning_rate", b"TaskMet"):
        assert name in start.content


@every_seed
def test_a_picture_is_drawn(runs, seed):
    pixels = matplotlib.image.imread(runs[seed].figure)
    assert pixels.shape[0] > 200
    assert pixels.std() > 0.05


@every_seed
def test_the_final_agent_and_the_checkpoint_load(runs, seed):
    for path in (runs[seed].agent, runs[seed].checkpoint):
        agent = TaskMet.load(path, env=CONFIG.environment.make(1, seed))
        assert agent.num_timesteps == 300
    agent.learn(10, reset_num_timesteps=False)


@pytest.mark.parametrize("seeds", [[3], [2, 4, 5]])
def test_a_run_folder_that_exists_is_refused_and_nothing_changes(cli, trained, tiny, seeds):
    _, folder = trained
    before = contents(folder)
    status, _, complaint = cli("train", "taskmet", *tiny, "--folder", folder, "--seeds", *seeds)
    assert status == 2
    assert "already exists" in complaint
    assert "--folder" in complaint
    assert contents(folder) == before
    assert {p.name for p in folder.iterdir()} == {"seed-3", "seed-4"}


@pytest.mark.parametrize("agent", AGENTS)
def test_defaults_are_those_of_the_agent(plan, agent):
    planned = plan(agent, "--seeds", 0, 1)
    assert list(planned) == [f"runs/{agent}-NoisyCartPole-v0-16/seed-{seed}" for seed in (0, 1)]
    for seed, config in enumerate(planned.values()):
        assert config == TrainingConfig(
            configure(AGENTS[agent].config_class, "default", {}), EnvironmentConfig(), seed=seed
        )


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("form", [["--preset", "published"], ["--preset=published"]])
def test_the_published_preset_reaches_the_configuration(plan, agent, form):
    (config,) = plan(agent, *form, "--timesteps", 200_000).values()
    assert config.hyperparameters == configure(AGENTS[agent].config_class, "published", {})
    assert config.timesteps == 200_000


def test_options_beside_a_preset_win(plan):
    (config,) = plan(
        "taskmet", "--preset", "published", "--metric-warmup", 7, "--seeds", 2
    ).values()
    assert config.hyperparameters.metric_warmup == 7
    assert config.hyperparameters.learning_rate == 3e-4
    assert config.seed == 2


def test_options_may_stand_before_the_agent_too(plan):
    (config,) = plan("--preset", "published", "--num-distractors", 3, "mle").values()
    assert type(config.hyperparameters) is MLEConfig
    assert config.hyperparameters.learning_rate == 3e-4
    assert config.environment.num_distractors == 3


@pytest.mark.parametrize(
    ("steps", "warmup", "told"), [(900, 800, True), (901, 800, False), (900, 799, False)]
)
def test_a_run_that_ends_before_the_metric_learns_is_told_so(cli, plan, steps, warmup, told):
    options = ("--timesteps", steps, "--learning-starts", 100, "--metric-warmup", warmup)
    plan("taskmet", *options)  # from here on nothing is trained
    _, output, _ = cli("train", "taskmet", *options)
    assert ("begins to learn after 900 steps" in output) == told


def test_an_agent_without_a_metric_is_not_told_of_one(cli, plan):
    plan("mle", "--timesteps", 1_001)
    assert cli("train", "mle", "--timesteps", 1_001)[1] == ""


@pytest.mark.parametrize("agent", ["mle", "taskmet"])
def test_a_run_that_ends_before_anything_is_learned_is_told_so(cli, plan, agent):
    plan(agent, "--timesteps", 1_000)
    _, output, _ = cli("train", agent, "--timesteps", 1_000)
    assert "Learning begins after 1,000 steps, and of 1,000 nothing is learned" in output
    assert "metric" not in output


def test_every_option_of_the_environment_reaches_it(plan):
    options = "--env Acrobot-v1 --num-distractors 3 --kind autoregressive --noise-std 0.5"
    (planned,) = plan("vep", *options.split(), "--permute", "--layout-seed", 9).items()
    assert planned[0] == "runs/vep-Acrobot-v1-autoregressive-3/seed-0"
    assert planned[1].environment == EnvironmentConfig(
        "Acrobot-v1", 3, "autoregressive", 0.5, True, 9
    )


@pytest.mark.parametrize("agent", ["mle", "omd", "vep"])
def test_acrobot_with_distractors_runs_by_its_id(agent, tmp_path):
    config = replace(
        CONFIG,
        hyperparameters=AGENTS[agent].config_class(
            learning_starts=100, batch_size=16, critic_hidden=(8,), model_hidden=(8,)
        ),
        environment=EnvironmentConfig("Acrobot-v1", num_distractors=3, permute=True),
        timesteps=150,
        eval_episodes=1,
    )
    reports = []
    config.train(tmp_path / "run", lambda *report: reports.append(report))
    names, _, _ = RunFolder(tmp_path / "run").read_weights()
    assert sorted(names)[:3] == ["angular_velocity_1", "angular_velocity_2", "cos_angle_1"]
    assert sum(name.startswith("distractor") for name in names) == 3
    assert reports[-1][0] == 150


def test_an_agent_without_distractors_has_no_separation(tmp_path):
    config = replace(CONFIG, environment=EnvironmentConfig("CartPole-v1", 0), timesteps=100)
    config.train(tmp_path / "run", lambda *report: None)
    (row,) = RunFolder(tmp_path / "run").read_evaluations()
    assert row["ranking_auc"] == ""


@pytest.fixture
def corridor(tmp_path, monkeypatch):
    """A module with an environment of a user's own, which fails at a step if told so."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "corridor.py").write_text(
        textwrap.dedent(
            """
            import gymnasium as gym
            import numpy as np

            class Corridor(gym.Env):
                observation_space = gym.spaces.Box(-10, 10, (2,), np.float32)
                action_space = gym.spaces.Discrete(2)
                dimension_names = ("place", "time")

                def __init__(self, fails_at=None, render_mode=None):
                    self.fails_at, self.steps = fails_at, 0

                def observe(self):
                    broken = self.steps == self.fails_at
                    return np.array([np.nan if broken else self.place, 0], np.float32)

                def reset(self, *, seed=None, options=None):
                    super().reset(seed=seed)
                    self.place = 0
                    return self.observe(), {}

                def step(self, action):
                    self.steps += 1
                    self.place += 2 * int(action) - 1
                    return self.observe(), float(self.place), abs(self.place) > 4, False, {}

            gym.register("Corridor-v0", Corridor, max_episode_steps=20)
            gym.register("Broken-v0", Corridor, max_episode_steps=20, kwargs={"fails_at": 250})
            """
        )
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(tmp_path / "modules")
    yield
    sys.modules.pop("corridor", None)
    for name in ("Corridor-v0", "Broken-v0"):
        gym.registry.pop(name, None)


def test_an_environment_need_not_know_of_render_modes(monkeypatch):
    class Plain(gym.Env):
        observation_space = gym.spaces.Box(-1, 1, (2,))
        action_space = gym.spaces.Discrete(2)

        def __init__(self):
            pass

    monkeypatch.setitem(gym.registry, "Plain-v0", EnvSpec("Plain-v0", Plain))
    EnvironmentConfig("Plain-v0").make(1, 0)


def test_an_environment_of_the_users_own_trains_by_its_module_and_id(
    shell, corridor, tiny, tmp_path
):
    options = ("--env", "corridor:Corridor-v0", "--timesteps", 150, "--seeds", 0)
    result = shell("train", "taskmet", *tiny, *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr + result.stdout
    run = RunFolder(tmp_path / "runs" / "taskmet-Corridor-v0-2" / "seed-0")
    assert run.read_weights()[0] == ["place", "time", "distractor_0", "distractor_1"]
    assert TaskMet.load(run.agent).num_timesteps == 150


def test_a_run_that_goes_wrong_fails_and_names_the_last_good_checkpoint(
    cli, corridor, tiny, tmp_path, monkeypatch
):
    """Trained in this process, which is faster than another one."""

    def train_here(runs, *_, **__):
        failures = {}
        for folder, config in runs.items():
            with pytest.raises(FloatingPointError) as failure:
                config.train(folder, lambda *report: None)
            failures[folder] = failure.value
        return failures

    monkeypatch.setattr("mbrl_taskmet.cli.train.train_all", train_here)
    status, output, complaint = cli("train", "taskmet", *tiny, "--env", "corridor:Broken-v0")
    assert (status, output) == (1, "")
    said = " ".join(complaint.split())
    assert "observation nan in dimension 0 (place) at step 250" in said
    assert "The last good checkpoint is runs/taskmet-Broken-v0-2/seed-0/checkpoint.zip" in said
    run = RunFolder(tmp_path / "runs" / "taskmet-Broken-v0-2" / "seed-0")
    assert TaskMet.load(run.checkpoint).num_timesteps == 200
    assert not run.agent.exists()


def test_among_mixtures_what_was_mixed_is_compared(tmp_path):
    projected = EnvironmentConfig(num_distractors=2, kind="projected")
    replace(CONFIG, environment=projected).train(tmp_path / "run", lambda *_: None)
    run = RunFolder(tmp_path / "run")
    env = projected.make_one()
    found = run.read_metric().before_mixing(env.mixing).separation(env.mixed_distractors)
    assert float(run.read_evaluations()[-1]["ranking_auc"]) == found.ranking_auc
    assert run.read_weights()[0] == [f"mixture_{i}" for i in range(6)]
    assert run.figure.exists()
