"""Bad input gets one sentence and status 2, and leaves nothing behind."""

import re
import sys
from types import ModuleType

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

import mbrl_taskmet
from mbrl_taskmet.agents import TaskMetConfig

BAD_TRAINING = {
    "agent": ("taskmett", "no agent 'taskmett': .* Did you mean 'taskmet'\\?"),
    "environment": ("mle --env CartPol-v1", "'CartPol-v1'. Did you mean 'CartPole-v1'\\?"),
    "version": ("mle --env CartPole-v9", "Did you mean 'CartPole-v"),
    "malformed-id": ("mle --env a/b/c:d/e", "a/b/c"),
    "namespace": ("mle --env ALE/Pong-v5", "'ALE/Pong-v5'"),
    "module": ("mle --env nowhere:Env-v0", "No module named 'nowhere': install it, or name its"),
    "discrete-observations": ("mle --env FrozenLake-v1", "FlattenObservation"),
    "kind": ("mle --kind gausian", "'gausian'.* Did you mean 'gaussian'\\?"),
    "num-distractors": ("mle --num-distractors -1", "num_distractors"),
    "noise-std": ("mle --noise-std -1", "noise_std"),
    "layout-seed": ("mle --layout-seed -1", "layout_seed"),
    "preset": ("taskmet --preset publised", "'default' or 'published'; got 'publised'"),
    "no preset": ("taskmet --preset", "'default' or 'published'; got None"),
    "discrete-only": (
        "mle --env Pendulum-v1 --exploration-epsilon 0.2",
        "SquashedGaussianPolicy has no 'exploration_epsilon' to set",
    ),
    "continuous-only": ("mle --target-entropy -1", "SoftQPolicy has no 'target_entropy' to set"),
    "timesteps": ("mle --timesteps 0", "--timesteps must be positive"),
    "eval-every": ("mle --eval-every -5", "--eval-every must be positive"),
    "eval-episodes": ("mle --eval-episodes 0", "--eval-episodes must be positive"),
    "jobs": ("mle --jobs 0", "--jobs must be positive"),
    "repeated-seed": ("mle --seeds 1 1", "--seeds must be"),
    "negative-seed": ("mle --seeds -1", "--seeds must be"),
    "no-seed": ("mle --seeds", "--seeds must be"),
    "device": ("mle --device gpu0", "gpu0"),
    "device-without-numbers": ("mle --device meta", "no device meta to compute with: choose cpu"),
    "device-of-another-machine": ("mle --device hpu", "no device hpu to compute with: choose cpu"),
    "batch-size": (
        "mle --batch-size 1000000000000000",
        "batch_size 1000000000000000 does not fit into memory .*: ask for less",
    ),
    "layers": (
        "mle --model-hidden 10000000 10000000",
        r"out of memory \(.* allocate .*\): ask for less",
    ),
    "constructor": ("mle --env rooms:rooms/Sized-v0", r"\(TypeError: .*'size'.*: repair its const"),
    "failing-constructor": (
        "mle --env rooms:rooms/Licensed-v0",
        r"cannot be made \(RuntimeError: no licence file\)",
    ),
    "failing-reset": (
        "mle --env rooms:rooms/Closed-v0",
        r"fails at its first step \(RuntimeError: closed\): repair it",
    ),
    "text-observed": ("mle --env rooms:rooms/Text-v0", r"type <U1 at step 0: return real numbers"),
    "text-paid": ("mle --env rooms:rooms/Praise-v0", "reward 'x' at step 1: return a float"),
    "observation-too-short": (
        "mle --env rooms:rooms/Short-v0",
        r"shape \(1,\) .* at step 0: return real numbers of shape \(3,\)",
    ),
    "environment-of-a-module": (
        "mle --env rooms:rooms/Shrot-v0",
        "by rooms as 'rooms/Shrot-v0'. Did you mean 'rooms/Short-v0'",
    ),
}
BAD_VALUES = {
    "learning-rate": ("mle --learning-rate -0.1", "learning_rate must be positive; got -0.1"),
    "batch-size": ("mle --batch-size 0", "batch_size must be a positive whole number; got 0"),
    "gamma": ("mle --gamma 1.5", "gamma must be between 0 and 1; got 1.5"),
    "hidden": ("mle --critic-hidden 8 0", r"critic_hidden must be .*; got \(8, 0\)"),
    "metric-warmup": ("taskmet --metric-warmup -1", "metric_warmup must be"),
}
BAD_SYNTAX = {
    "command": "trian mle",
    "nothing": "",
    "no-agent": "train",
    "option": "train mle --timestep 300",
    "option-of-another-agent": "train mle --metric-warmup 3",
    "number": "train mle --timesteps many",
    "choice": "train taskmet --metric diagnal",
    "missing-run": "evaluate",
}


class Room(gym.Env):
    """An environment of which others are spoiled versions."""

    observation_space = gym.spaces.Box(-1, 1, (3,), np.float32)
    action_space = gym.spaces.Discrete(2)
    observation, reward = np.zeros(3, np.float32), 0.0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation, {}

    def step(self, action):
        return self.observation, self.reward, False, False, {}


class Sized(Room):
    def __init__(self, size):
        pass


class Licensed(Room):
    def __init__(self):
        raise RuntimeError("no licence\nfile.")


class Closed(Room):
    def reset(self, *, seed=None, options=None):
        raise RuntimeError("closed")


class Text(Room):
    observation = "x"


class Praise(Room):
    reward = "x"


class Short(Room):
    observation = np.zeros(1, np.float32)


@pytest.fixture(autouse=True)
def rooms(monkeypatch):
    """The module `rooms`, which registers them."""
    monkeypatch.setitem(sys.modules, "rooms", ModuleType("rooms"))
    for room in (Sized, Licensed, Closed, Text, Praise, Short):
        id = f"rooms/{room.__name__}-v0"
        # Without Gymnasium's own checker, which would warn besides.
        spec = EnvSpec(id, entry_point=room, disable_env_checker=True)
        monkeypatch.setitem(gym.registry, id, spec)


@pytest.mark.parametrize(("command", "sentence"), BAD_TRAINING.values(), ids=BAD_TRAINING.keys())
def test_what_cannot_be_trained_is_refused_in_one_sentence(cli, tmp_path, command, sentence):
    status, output, complaint = cli("train", *command.split())
    assert status == 2
    assert output == ""
    assert complaint.startswith("mbrl-taskmet: ")
    assert complaint.count("\n") == 1
    assert re.search(sentence, complaint)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("command", "sentence"), BAD_VALUES.values(), ids=BAD_VALUES.keys())
def test_a_hyperparameter_out_of_range_is_refused_by_its_name(cli, tmp_path, command, sentence):
    status, output, complaint = cli("train", *command.split())
    assert (status, output) == (2, "")
    assert re.search(sentence, " ".join(complaint.replace("│", " ").split()))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", BAD_SYNTAX.values(), ids=BAD_SYNTAX.keys())
def test_what_cannot_be_parsed_is_refused(cli, tmp_path, command):
    status, output, complaint = cli(*command.split())
    assert status == 2
    assert (output + complaint).strip()
    assert "Traceback" not in output + complaint
    assert list(tmp_path.iterdir()) == []


def test_an_environment_whose_package_is_missing_is_refused(cli, tmp_path, monkeypatch):
    def make(*args, **kwargs):
        raise gym.error.DependencyNotInstalled("Box2D is not installed, run `pip install swig`")

    monkeypatch.setattr(gym, "make", make)
    status, _, complaint = cli("train", "mle", "--env", "LunarLander-v3")
    assert status == 2
    assert complaint == "mbrl-taskmet: Box2D is not installed, run `pip install swig`\n"
    assert list(tmp_path.iterdir()) == []


def test_the_process_ends_with_the_status_and_the_sentence(shell, tmp_path):
    result = shell("train", "taskmet", "--env", "CartPol-v1", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == (
        "mbrl-taskmet: No environment is registered as 'CartPol-v1'. Did you mean 'CartPole-v1'?\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused(cli, tmp_path):
    (tmp_path / "file").write_text("in the way")
    status, _, complaint = cli("train", "mle", "--folder", tmp_path / "file")
    assert status == 2
    assert complaint.startswith("mbrl-taskmet: ")
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.parametrize(
    "command", [[], ["train"], ["train", "taskmet"], ["evaluate"], ["weights"]]
)
def test_help_is_given(cli, command):
    status, output, _ = cli(*command, "--help")
    assert status == 0
    assert "usage: mbrl-taskmet" in output


def test_what_is_chosen_in_python_is_no_option(cli):
    shown = cli("train", "taskmet", "--help")[1]
    assert "--metric-warmup" in shown
    assert "--hypergradient" not in shown


def test_the_version_is_told(cli):
    assert cli("--version") == (0, f"mbrl-taskmet {mbrl_taskmet.__version__}\n", "")


def test_help_shows_the_presets_defaults(cli):
    default, published = (
        " ".join(cli("train", "taskmet", *preset, "--help")[1].split())
        for preset in ([], ["--preset", "published"])
    )
    warmup = TaskMetConfig().metric_warmup
    assert f"(default: {warmup})" in default
    assert f"(default: {warmup})" not in published
    assert "(default: 5000)" in published
