"""Training runs side by side in processes of their own, under one progress display."""

import multiprocessing
import os
import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, TypeVar

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
) -> dict[Path, Exception]:
    """Train each run in its folder, as many at a time as there are processor cores.

    Args:
        runs: the runs by their folders.
        console: shows the progress.
        jobs: how many at a time, if not as many as cores.
        runs_per_process: after which a process is replaced by a fresh one; None for never.
        on_finished: called in this process after each run that succeeded.

    Returns:
        What went wrong, by folder; the other runs go on.
    """
    workers = min(jobs or os.cpu_count() or 1, len(runs))
    crowded = len(runs) > MOST_BARS
    context = multiprocessing.get_context("spawn")
    failures: dict[Path, Exception] = {}
    with context.Manager() as manager, _progress(console) as progress:
        reports = manager.Queue()
        tasks = {
            folder: progress.add_task(
                folder.name, total=config.timesteps, start=False, visible=not crowded
            )
            for folder, config in runs.items()
        }
        done = progress.add_task("runs done", total=len(runs), visible=crowded)
        stop = threading.Event()
        listener = threading.Thread(target=_show, args=(reports, progress, tasks, stop))
        listener.start()
        try:
            with ProcessPoolExecutor(
                workers, context, max_tasks_per_child=runs_per_process
            ) as pool:
                futures: dict[Future[None], Path] = {
                    pool.submit(_train_and_report, config, folder, reports): folder
                    for folder, config in runs.items()
                }
                for future in as_completed(futures):
                    folder = futures[future]
                    progress.advance(done)
                    progress.update(tasks[folder], visible=not crowded)
                    error = future.exception()
                    if error is None:
                        on_finished(folder, runs[folder])
                    elif isinstance(error, Exception):
                        failures[folder] = error
                    else:
                        raise error
        finally:
            stop.set()
            listener.join()
    return failures


def _train_and_report(run: Job, folder: Path, reports: Any) -> None:
    """One run in a worker process."""
    run.train(folder, lambda *report: reports.put((folder, *report)))


def _show(
    reports: Any, progress: Progress, tasks: Mapping[Path, TaskID], stop: threading.Event
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
        value = task.fields.get("episode_return")
        return Text("return    –" if value is None else f"return {value:6.1f}", "green")


class _SpeedColumn(ProgressColumn):
    """Environment steps a second."""

    def render(self, task: Task) -> Text:
        speed = task.speed or task.finished_speed
        return Text("" if speed is None else f"{speed:5.0f} steps/s", "cyan")
