"""Runs on a local Ray cluster of two workers."""

import logging
import os
import signal
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import ray
from rich.console import Console

from mbrl_taskmet.agents import MLEConfig, TaskMetConfig
from mbrl_taskmet.cli.study import StudyCommand
from mbrl_taskmet.runs.cluster import ray_cluster
from mbrl_taskmet.runs.environments import EnvironmentConfig
from mbrl_taskmet.runs.parallel import train_all
from mbrl_taskmet.studies import STUDIES

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::FutureWarning")]


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """A cluster of two workers on this machine."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()


def test_a_killed_workers_run_is_begun_anew_and_a_failure_spares_the_others(tmp_path):
    @dataclass(frozen=True)  # local, so that it travels to the workers by value
    class Deed:
        kind: str
        begun: Path
        timesteps: int = 1

        def train(self, folder, report):
            with self.begun.open("a") as file:
                file.write(f"{os.getpid()}\n")
            if self.kind == "killed" and len(self.begun.read_text().split()) == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            if self.kind == "failing":
                raise ValueError("as foreseen")
            report(1, None, "")
            folder.mkdir()
            (folder / "result").write_text(self.kind)

    runs = {tmp_path / "runs" / k: Deed(k, tmp_path / k) for k in ("killed", "failing", "plain")}
    finished = []
    failures = train_all(
        runs,
        Console(quiet=True),
        jobs=2,
        on_finished=lambda folder, run: finished.append((folder / "result").read_text()),
        executor=ray_cluster,
    )
    assert sorted(finished) == ["killed", "plain"]
    assert {folder.name: str(error) for folder, error in failures.items()} == {
        "failing": "as foreseen"
    }
    begun = {kind: (tmp_path / kind).read_text().split() for kind in ("killed", "failing", "plain")}
    assert {kind: len(processes) for kind, processes in begun.items()} == {
        "killed": 2,
        "failing": 1,
        "plain": 1,
    }
    assert begun["killed"][0] != begun["killed"][1]


def test_runs_that_are_not_waited_for_leave_the_cluster(tmp_path):
    @dataclass(frozen=True)
    class Deed:
        seconds: float
        timesteps: int = 1

        def train(self, folder, report):
            time.sleep(self.seconds)
            folder.mkdir()

    def full(folder, run):
        raise OSError("no space left")

    runs = {tmp_path / str(seconds): Deed(seconds) for seconds in (0, 3_600, 7_200)}
    with pytest.raises(OSError, match="no space left"):
        train_all(runs, Console(quiet=True), on_finished=full, executor=ray_cluster)
    deadline = time.monotonic() + 60
    while ray.available_resources().get("CPU") != 2:
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_a_study_on_the_cluster_leaves_the_results_of_one_on_this_machine(tmp_path, monkeypatch):
    small = {"learning_starts": 50, "batch_size": 8, "critic_hidden": (4,), "model_hidden": (4,)}
    study = replace(
        STUDIES["first_light"],
        name="tiny",
        variants={
            "mle": MLEConfig(**small),
            "diverging": TaskMetConfig(
                **{**small, "learning_starts": 70, "learning_rate": 1e30}  # after an evaluation
            ),
        },
        environments=[EnvironmentConfig(num_distractors=2)],
        timesteps=120,
        eval_every=60,
        seeds=(0, 1),
    )
    monkeypatch.setitem(STUDIES, "tiny", study)
    for executor in ("local", "ray"):
        command = StudyCommand("tiny", results=tmp_path / executor, executor=executor)
        assert command.run(Console(quiet=True)) == 0
    results = [sorted((tmp_path / e / "tiny.csv").read_text().split()) for e in ("local", "ray")]
    assert len(results[0]) == 9
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("address", "expected"),
    [(None, ("local", 2)), ("", ("local", 2)), ("here:6379", (None, None))],
)
def test_a_cluster_is_made_here_unless_an_address_is_given(monkeypatch, address, expected):
    asked = []

    def init(address, *, num_cpus, **_):
        asked.append((address, num_cpus))
        raise ConnectionError

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    if address is None:
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
    else:
        monkeypatch.setenv("RAY_ADDRESS", address)
    runs = {Path("run"): None, Path("other run"): None}
    with pytest.raises(ConnectionError):
        train_all(runs, Console(quiet=True), jobs=2, executor=ray_cluster)
    assert asked == [expected]


def test_without_ray_the_executor_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"pip install 'mbrl-taskmet\[cluster\]'"):
        train_all({tmp_path / "run": None}, Console(quiet=True), executor=ray_cluster)
