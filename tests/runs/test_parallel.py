"""Runs side by side, wherever they are trained."""

import os
import queue
from contextlib import contextmanager
from pathlib import Path

import pytest
from jobs import Deed
from rich.console import Console
from rich.progress import Progress

from mbrl_taskmet.runs import parallel
from mbrl_taskmet.runs.executors import Execution
from mbrl_taskmet.runs.parallel import train_all
from mbrl_taskmet.runs.progress import WINDOW_S, RunsDisplay


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
    shown, make = [], parallel.runs_progress
    monkeypatch.setattr(parallel, "runs_progress", lambda c: shown.append(make(c)) or shown[-1])

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
    assert visible == ["9 of 9 runs done"]
    assert shown[0].tasks[-1].completed == 9


def test_the_time_left_is_that_of_all_runs_though_they_seldom_end():
    """At the speed of the last minutes, in which no run has ended."""
    now = 0.0
    progress = Progress(get_time=lambda: now, speed_estimate_period=WINDOW_S)
    display = RunsDisplay(progress, {Path(name): 5_000 for name in "abcd"}, workers=2)
    display.report(Path("a"), 400, None, "")
    display.end(Path("a"))  # it has failed, and none of its steps is left
    everything = progress.tasks[-1]
    assert (everything.description, everything.completed) == ("1 of 4 runs done", 5_000)
    for minute in range(1, 20):
        now = 60.0 * minute
        display.report(Path("b"), 60 * minute, None, "")  # a step a second
    assert everything.visible
    assert everything.time_remaining == everything.remaining == 3 * 5_000 - 60 * 19


def test_of_runs_that_all_train_at_once_each_says_itself_how_long_it_takes():
    progress = Progress()
    RunsDisplay(progress, {Path(name): 5_000 for name in "ab"}, workers=2)
    assert [task.visible for task in progress.tasks] == [True, True, False]
