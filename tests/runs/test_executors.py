"""Runs in processes of this machine."""

import pytest
from jobs import Deed, Stillborn
from rich.console import Console

from mbrl_taskmet.runs.parallel import train_all

QUIET = Console(quiet=True)


def test_a_killed_process_spares_the_runs_that_wait_and_a_failure_spares_all(tmp_path):
    kinds = ("failing", "killed", "plain", "plainer")
    runs = {tmp_path / kind: Deed(kind) for kind in kinds}
    finished = []
    failures = train_all(
        runs, QUIET, jobs=1, on_finished=lambda folder, _: finished.append(folder.name)
    )
    assert finished == ["plain", "plainer"]
    assert {folder.name: str(error) for folder, error in failures.items()} == {
        "failing": "as foreseen",
        "killed": "A process was killed: is there enough memory?",
    }


def test_no_run_begins_after_results_could_not_be_written(tmp_path):
    runs = {tmp_path / kind: Deed(kind) for kind in ("plain", *"abcdef")}

    def full(folder, run):
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        train_all(runs, QUIET, jobs=1, on_finished=full)
    assert (tmp_path / "plain").exists()
    assert not (tmp_path / "f").exists()


def test_where_no_process_can_begin_every_run_fails(tmp_path):
    runs = {tmp_path / kind: Stillborn(kind) for kind in ("a", "b")}
    failures = train_all(runs, QUIET, jobs=1)
    assert {folder.name for folder in failures} == {"a", "b"}
