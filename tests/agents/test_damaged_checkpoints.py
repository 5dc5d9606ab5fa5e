"""What is no checkpoint of this agent for this environment is refused in one sentence."""

import inspect
import itertools
import pickle
import zipfile

import gymnasium as gym
import pytest
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.type_aliases import TrainFreq, TrainFrequencyUnit

from mbrl_taskmet import MLE, TaskMet
from mbrl_taskmet.agents import AGENTS
from mbrl_taskmet.agents.base import LOADABLE


@pytest.fixture
def checkpoint(make_agent, tmp_path):
    path = tmp_path / "agent.zip"
    make_agent(TaskMet).learn(60).save(path)
    return path


@pytest.fixture
def refused():
    """The sentence with which loading was refused."""

    def load(agent_class, path, **options):
        with pytest.raises(ValueError, match="cannot be loaded") as caught:
            agent_class.load(path, **options)
        sentence = str(caught.value)
        assert str(path) in sentence
        assert "\n" not in sentence
        assert sentence.endswith(".")
        return sentence

    return load


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.3, 0.7, 0.99])
def test_a_truncated_file_is_refused(checkpoint, refused, kept):
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[: int(kept * len(whole))])
    refused(TaskMet, checkpoint)


def test_a_file_damaged_anywhere_is_refused_or_loads_unharmed(
    checkpoint, refused, snapshot, differences
):
    whole = checkpoint.read_bytes()
    expected = snapshot(TaskMet.load(checkpoint))
    for start in range(0, len(whole), len(whole) // 40):
        damaged = bytearray(whole)
        damaged[start : start + 8] = bytes(255 - byte for byte in whole[start : start + 8])
        checkpoint.write_bytes(damaged)
        try:
            loaded = TaskMet.load(checkpoint)
        except ValueError:
            refused(TaskMet, checkpoint)
        else:
            assert differences(snapshot(loaded), expected) == []


def test_a_text_file_is_refused(tmp_path, refused):
    path = tmp_path / "agent.zip"
    path.write_text("no checkpoint")
    assert "zip" in refused(TaskMet, path)


def test_a_zip_file_of_something_else_is_refused(tmp_path, refused):
    path = tmp_path / "agent.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("holiday.txt", "sun")
    refused(TaskMet, path)


@pytest.mark.parametrize("data", ["[]", "{}", "{", "null", '{"policy_class": 3}'])
def test_a_zip_file_with_other_data_is_refused(tmp_path, refused, data):
    path = tmp_path / "agent.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data", data)
    refused(TaskMet, path)


@pytest.mark.parametrize("missing", ["data", "policy.pth", "learner.pth"])
def test_a_zip_file_without_one_of_its_parts_is_refused(checkpoint, tmp_path, refused, missing):
    path = tmp_path / "incomplete.zip"
    with zipfile.ZipFile(checkpoint) as whole, zipfile.ZipFile(path, "w") as archive:
        for name in whole.namelist():
            if name != missing:
                archive.writestr(name, whole.read(name))
    refused(TaskMet, path)


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        TaskMet.load(tmp_path / "nowhere.zip")


def test_a_checkpoint_of_another_environment_is_refused_and_both_spaces_are_named(
    checkpoint, refused, make_env
):
    sentence = refused(TaskMet, checkpoint, env=make_env(num_distractors=3))
    assert "(6,)" in sentence
    assert "(7,)" in sentence


@pytest.mark.parametrize(
    ("saved_by", "loaded_as"),
    list(itertools.permutations(AGENTS.values(), 2)),
    ids=lambda agent_class: agent_class.__name__,
)
def test_a_checkpoint_of_another_agent_is_refused_and_both_are_named(
    make_agent, tmp_path, refused, saved_by, loaded_as
):
    make_agent(saved_by).save(tmp_path / "agent.zip")
    sentence = refused(loaded_as, tmp_path / "agent.zip")
    assert saved_by.__name__ in sentence
    assert loaded_as.__name__ in sentence


def test_a_checkpoint_of_other_sizes_is_refused_and_the_shapes_are_named(
    make_agent, tmp_path, refused
):
    make_agent(MLE).save(tmp_path / "agent.zip")
    sentence = refused(MLE, tmp_path / "agent.zip", model_hidden=(9,))
    assert "model" in sentence
    assert "shape" in sentence


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"gama": 0.5}, "no hyperparameter 'gama'. Did you mean 'gamma'"),
        ({"preset": "published"}, "A loaded agent has its settings: leave preset out"),
    ],
)
def test_a_setting_that_does_not_exist_is_refused_at_loading_too(
    checkpoint, make_env, settings, sentence
):
    with pytest.raises(TypeError, match=sentence):
        TaskMet.load(checkpoint, env=make_env(), **settings)


def test_what_is_given_at_loading_is_refused_without_blaming_the_file(
    checkpoint, refused, make_env
):
    with pytest.raises(ValueError, match=r"^gamma must be between 0 and 1; got 2\.$"):
        TaskMet.load(checkpoint, gamma=2)
    env = gym.wrappers.TransformObservation(make_env(), lambda o: o, gym.spaces.MultiBinary(4))
    with pytest.raises(ValueError, match=r"^The observation space .*FlattenObservation\.$"):
        TaskMet.load(checkpoint, env=env)
    assert "leave out model_hidden, or" in refused(TaskMet, checkpoint, model_hidden=(9,))
    assert "leave out" not in refused(MLE, checkpoint)


OTHERWISE = {
    "train_freq": TrainFreq(7, TrainFrequencyUnit.STEP),
    "gradient_steps": 3,
    "tensorboard_log": "elsewhere",
    "verbose": 1,
    "seed": 12,
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_the_constructor_takes_can_be_changed_at_loading(checkpoint, name):
    assert name in inspect.signature(TaskMet).parameters
    saved = getattr(TaskMet.load(checkpoint), name)
    changed = TaskMet.load(checkpoint, **{name: OTHERWISE[name]})
    assert saved != OTHERWISE[name] == getattr(changed, name)


def test_a_device_that_is_none_is_not_the_files_fault(checkpoint):
    with pytest.raises(RuntimeError, match="device type at start of device string: nowhere"):
        TaskMet.load(checkpoint, device="nowhere")


def test_the_policys_own_keywords_are_those_it_was_saved_with(checkpoint, refused):
    """As in Stable-Baselines3; what is a hyperparameter too is changed as one."""
    assert {*OTHERWISE, "policy_kwargs"} == {*LOADABLE}
    assert TaskMet.load(checkpoint, policy_kwargs={}).policy_kwargs == {}
    sentence = refused(TaskMet, checkpoint, policy_kwargs={"exploration_epsilon": 0.7})
    assert "do not equal the stored policy kwargs" in sentence
    assert TaskMet.load(checkpoint, exploration_epsilon=0.7).policy.exploration_epsilon == 0.7


@pytest.fixture
def experience(make_agent, tmp_path):
    """The saved replay buffer of an agent."""
    path = tmp_path / "replay.pkl"
    make_agent(MLE).learn(60).save_replay_buffer(path)
    return path


def refused_experience(agent, path):
    own = agent.replay_buffer
    with pytest.raises(ValueError, match="cannot be loaded as experience of this MLE") as caught:
        agent.load_replay_buffer(path)
    assert agent.replay_buffer is own
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.99])
def test_experience_from_a_truncated_file_is_refused(make_agent, experience, kept):
    whole = experience.read_bytes()
    experience.write_bytes(whole[: int(kept * len(whole))])
    assert "check that the file is whole" in refused_experience(make_agent(MLE), experience)


def test_experience_that_is_something_else_is_refused(make_agent, tmp_path):
    for thing in ([1, 2], ReplayBuffer(4, gym.spaces.Box(0, 1, (6,)), gym.spaces.Discrete(2))):
        (tmp_path / "replay.pkl").write_bytes(pickle.dumps(thing))
        refused_experience(make_agent(MLE), tmp_path / "replay.pkl")


def test_experience_of_other_environments_is_refused_and_what_differs_is_named(
    make_agent, make_env, make_pendulum, experience
):
    sentence = refused_experience(make_agent(MLE, make_env(num_distractors=3)), experience)
    assert "(6,)" in sentence
    assert "Discrete(2)" in refused_experience(make_agent(MLE, make_pendulum()), experience)
    two = make_agent(MLE, make_vec_env(make_env, 2))
    assert "it is of 1 environments, not 2" in refused_experience(two, experience)


def test_missing_experience_is_not_found(make_agent, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        make_agent(MLE).load_replay_buffer(tmp_path / "nowhere.pkl")
