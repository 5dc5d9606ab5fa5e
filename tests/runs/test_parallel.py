"""Runs side by side, wherever they are trained."""

import os
import queue
from contextlib import contextmanager

import pytest
from jobs import Deed
from rich.console import Console

from mbrl_taskmet.runs import parallel
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


def test_of_many_runs_one_that_has_ended_is_not_shown_again_by_a_late_report(tmp_path, monkeypatch):
    shown, make = [], parallel._progress
    monkeypatch.setattr(parallel, "_progress", lambda c: shown.append(make(c)) or shown[-1])

    @contextmanager
    def reporting_late(runs, jobs, runs_per_process):
        reports: queue.Queue = queue.Queue()

        def outcomes():
            for folder in runs:
                yield folder, None
                reports.put((folder, 1, None, ""))

        yield Execution(reports, outcomes())

    runs = {tmp_path / f"run{index}": Deed("plain") for index in range(9)}
    assert not train_all(runs, Console(quiet=True), executor=reporting_late)
    visible = [task.description for task in shown[0].tasks if task.visible]
    assert visible == ["runs done"]
    assert shown[0].tasks[-1].completed == 9
