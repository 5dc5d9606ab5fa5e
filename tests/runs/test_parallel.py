"""Runs side by side, wherever they are trained."""

import os
import queue
from contextlib import contextmanager

import pytest
from jobs import Deed
from rich.console import Console

from mbrl_taskmet.runs.executors import Execution
from mbrl_taskmet.runs.parallel import train_all


@pytest.mark.parametrize(("jobs", "workers"), [(1, 1), (5, 3), (None, 2)])
def test_no_more_workers_than_asked_for_cores_or_runs(tmp_path, monkeypatch, jobs, workers):
    asked = []

    @contextmanager
    def recording(runs, jobs, runs_per_process):
        asked.append((jobs, runs_per_process))
        yield Execution(queue.Queue(), iter([(folder, None) for folder in runs]))

    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    runs = {tmp_path / name: Deed("plain") for name in "abc"}
    console = Console(quiet=True)
    assert not train_all(runs, console, jobs=jobs, runs_per_process=7, executor=recording)
    assert asked == [(workers, 7)]
