"""Runs side by side, wherever they are trained."""

import io
import os
import queue
from contextlib import contextmanager
from pathlib import Path

import pytest
from jobs import Deed
from rich.console import Console

from mbrl_taskmet.runs import parallel
from mbrl_taskmet.runs.executors import Execution
from mbrl_taskmet.runs.parallel import train_all
from mbrl_taskmet.runs.progress import RunsDisplay, runs_progress


@pytest.mark.parametrize(("jobs", "workers"), [(1, 1), (5, 3), (None, 2)])
def test_no_more_workers_than_asked_for_cores_or_runs(tmp_path, monkeypatch, jobs, workers):
    asked = []

    @contextmanager
    def recording(runs, jobs, runs_per_process):
        asked.append((jobs, runs_per_process))
        yield Execution(queue.Queue(), iter([(folder, None) for folder in runs]))

    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5, 7}, raising=False)
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
    assert visible == ["9 of 9 runs ended"]
    assert shown[0].tasks[-1].completed == 9


class Clock:
    """Shows what it is set to, in seconds."""

    now = 0.0

    def __call__(self):
        return self.now


def test_the_time_left_is_that_of_all_runs_though_they_seldom_end():
    """At the speed of the last minutes, in which none has ended, at a report a second."""
    clock = Clock()
    progress = runs_progress(Console(quiet=True), clock)
    display = RunsDisplay(progress, {Path(name): 5_000 for name in "abcd"}, workers=2)
    everything = progress.tasks[-1]
    for second in range(1, 2_001):
        clock.now = float(second)
        for name in "ab":
            # Since five minutes ago a step a second, before that twice as many.
            steps = 2 * second if second <= 1_700 else 3_400 + second - 1_700
            display.report(Path(name), steps, None, "")
    assert everything.visible
    assert everything.remaining == pytest.approx(4 * 5_000 - 2 * 3_700, abs=2)
    assert everything.time_remaining == pytest.approx(everything.remaining / 2, rel=0.01)


def test_the_steps_of_a_run_that_failed_are_neither_left_nor_done():
    clock = Clock()
    progress = runs_progress(Console(quiet=True), clock)
    display = RunsDisplay(progress, {Path(name): 5_000 for name in "abcd"}, workers=2)
    everything = progress.tasks[-1]
    display.report(Path("a"), 400, None, "")
    display.end(Path("a"), failed=True)
    assert (everything.description, everything.completed) == ("1 of 4 runs ended", 400)
    for second in range(1, 11):
        clock.now = float(second)
        display.report(Path("b"), second, None, "")
        display.report(Path("a"), 600, None, "")  # which comes late
    assert everything.time_remaining == everything.remaining == 3 * 5_000 - 10
    display.end(Path("b"))
    assert everything.completed == 5_400


def test_the_bar_of_a_run_that_failed_says_so_and_nothing_of_what_would_be_left():
    clock = Clock()
    console = Console(width=120, record=True, file=io.StringIO())
    progress = runs_progress(console, clock)
    display = RunsDisplay(progress, {Path(name): 5_000 for name in "ab"}, workers=2)
    for second in range(1, 11):
        clock.now = float(second)
        for name in "ab":
            display.report(Path(name), 100 * second, 9.5, "compiling")
    display.report(Path("b"), 1_100, 9.5, "")
    display.end(Path("a"), failed=True)
    console.print(progress.get_renderable())
    of_a, of_b, *_ = console.export_text().splitlines()
    assert of_a.split()[-2:] == ["1000/5000", "failed"]
    assert of_b.split()[-6:-1] == ["1100/5000", "return", "9.5", "111", "steps/s"]


@pytest.mark.parametrize(("runs", "workers", "shown"), [(2, 2, False), (3, 2, True), (9, 9, True)])
def test_all_runs_together_have_a_bar_where_some_have_none(runs, workers, shown):
    progress = runs_progress(Console(quiet=True))
    RunsDisplay(progress, {Path(str(run)): 5_000 for run in range(runs)}, workers)
    *own, everything = (task.visible for task in progress.tasks)
    assert everything == shown
    assert any([*own, everything])
