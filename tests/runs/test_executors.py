"""Runs in processes of this machine."""

import os
import subprocess
import sys
import time

import pytest
from jobs import Deed, Signed, Stillborn, Threaded
from rich.console import Console

from mbrl_taskmet.runs.parallel import train_all

QUIET = Console(quiet=True)

TRAINS_WITHOUT_END = """
import sys
from pathlib import Path
from jobs import Deed
from rich.console import Console
from mbrl_taskmet.runs.parallel import train_all

if __name__ == "__main__":
    train_all({Path(sys.argv[1]): Deed("endless")}, Console(quiet=True), jobs=1)
"""


def test_a_killed_process_spares_the_runs_that_wait_and_a_failure_spares_all(tmp_path):
    kinds = ("failing", "failing oddly", "killed", "plain", "plainer")
    runs = {tmp_path / kind: Deed(kind) for kind in kinds}
    finished = []
    failures = train_all(
        runs, QUIET, jobs=1, on_finished=lambda folder, _: finished.append(folder.name)
    )
    assert finished == ["plain", "plainer"]
    assert {folder.name: str(error) for folder, error in failures.items()} == {
        "failing": "as foreseen",
        "failing oddly": "TwoArgumentError: 7: the solver diverged",
        "killed": "A process was killed: is there enough memory?",
    }


def test_no_run_goes_on_after_results_could_not_be_written(tmp_path):
    """Nobody is left to keep what it would train."""
    runs = {tmp_path / kind: Deed(kind) for kind in ("plain", "endless", *"abcdef")}

    def full(folder, run):
        while not (tmp_path / "endless").exists():
            time.sleep(0.1)
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        train_all(runs, QUIET, jobs=2, on_finished=full)
    assert (tmp_path / "plain").exists()
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize(("runs_per_process", "processes"), [(1, 2), (None, 1)])
def test_a_process_is_replaced_after_as_many_runs(tmp_path, runs_per_process, processes):
    runs = {tmp_path / name: Signed(name) for name in "ab"}
    assert not train_all(runs, QUIET, jobs=1, runs_per_process=runs_per_process)
    assert len({path.read_text() for path in runs}) == processes


def test_a_run_computes_with_one_thread_since_others_have_the_other_cores(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert not train_all({tmp_path / "run": Threaded("plain")}, QUIET, jobs=1)
    assert (tmp_path / "run").read_text() == "1"


def test_where_no_process_can_begin_every_run_fails(tmp_path):
    runs = {tmp_path / kind: Stillborn(kind) for kind in ("a", "b")}
    failures = train_all(runs, QUIET, jobs=1)
    assert {folder.name for folder in failures} == {"a", "b"}


def test_no_process_outlives_a_killed_parent(tmp_path):
    script = tmp_path / "trains.py"
    script.write_text(TRAINS_WITHOUT_END)
    parent = subprocess.Popen(
        [sys.executable, script, tmp_path / "run"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
    )
    while not (tmp_path / "run").exists():
        assert parent.poll() is None
        time.sleep(0.1)
    parent.kill()
    # All of its processes hold its output open.
    parent.communicate(timeout=60)
