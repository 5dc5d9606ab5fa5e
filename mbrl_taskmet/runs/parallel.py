"""Training runs side by side under one progress display."""

import os
import queue
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from mbrl_taskmet.runs.executors import Executor, Reports, local_processes
from mbrl_taskmet.runs.training import Job

JobT = TypeVar("JobT", bound=Job)

MOST_BARS = 8
"""Runs up to which each keeps its bar; of more, only those that are running show."""


def train_all(
    runs: Mapping[Path, JobT],
    console: Console,
    *,
    jobs: int | None = None,
    runs_per_process: int | None = 1,
    on_finished: Callable[[Path, JobT], None] = lambda folder, config: None,
    on_failed: Callable[[Path, JobT, Exception], None] = lambda folder, config, error: None,
    executor: Executor = local_processes,
) -> dict[Path, Exception]:
    """Train each run in its folder, as many at a time as there are processor cores.

    Args:
        runs: the runs by their folders.
        console: shows the progress.
        jobs: how many at a time, if not as many as cores.
        runs_per_process: after which a process is replaced by a fresh one; None for never.
        on_finished: called in this process after each run that succeeded.
        on_failed: called in this process after each run that did not.
        executor: where they are trained.

    Returns:
        What went wrong, by folder; the other runs go on.

    Raises:
        Exception: what these two raise; the runs under way end then, and no other begins.
    """
    workers = min(jobs or os.cpu_count() or 1, len(runs))
    crowded = len(runs) > MOST_BARS
    failures: dict[Path, Exception] = {}
    with executor(runs, workers, runs_per_process) as execution, _progress(console) as progress:
        tasks = {
            folder: progress.add_task(
                folder.name,
                total=config.timesteps,
                start=False,
                visible=not crowded,
                episode_return=None,
            )
            for folder, config in runs.items()
        }
        done = progress.add_task("runs done", total=len(runs), visible=crowded)
        stop = threading.Event()
        listener = threading.Thread(target=_show, args=(execution.reports, progress, tasks, stop))
        listener.start()
        try:
            for folder, error in execution.outcomes:
                progress.advance(done)
                progress.start_task(tasks[folder])  # or a late report would, and show it again
                progress.update(tasks[folder], visible=not crowded)
                if error is None:
                    on_finished(folder, runs[folder])
                elif isinstance(error, Exception):
                    failures[folder] = error
                    on_failed(folder, runs[folder], error)
                else:
                    raise error
        finally:
            stop.set()
            listener.join()
    return failures


def _show(
    reports: Reports, progress: Progress, tasks: Mapping[Path, TaskID], stop: threading.Event
) -> None:
    """Carry the workers' reports over to the display until told to stop."""
    while not (stop.is_set() and reports.empty()):
        try:
            folder, steps, value, note = reports.get(timeout=0.2)
        except queue.Empty:
            continue
        if not progress.tasks[tasks[folder]].started:
            progress.start_task(tasks[folder])
            progress.update(tasks[folder], visible=True)
        progress.update(tasks[folder], completed=steps, episode_return=value, note=note)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _ReturnColumn(),
        _SpeedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


class _ReturnColumn(ProgressColumn):
    """The mean return of the last episodes, or what takes long at the moment."""

    def render(self, task: Task) -> Text:
        if task.fields.get("note"):
            return Text(task.fields["note"], "yellow")
        if not _is_run(task):
            return Text()
        value = task.fields["episode_return"]
        return Text("return    –" if value is None else f"return {value:6.1f}", "green")


class _SpeedColumn(ProgressColumn):
    """Environment steps a second."""

    def render(self, task: Task) -> Text:
        speed = task.speed or task.finished_speed
        shown = speed is not None and _is_run(task)
        return Text(f"{speed:5.0f} steps/s" if shown else "", "cyan")


def _is_run(task: Task) -> bool:
    """Whether it is a run, and not the count of them."""
    return "episode_return" in task.fields
