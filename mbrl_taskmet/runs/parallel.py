"""Training runs side by side under one progress display."""

import os
import queue
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from mbrl_taskmet.runs.executors import Executor, Reports, local_processes
from mbrl_taskmet.runs.job import Job
from mbrl_taskmet.runs.progress import RunsDisplay, runs_progress

JobT = TypeVar("JobT", bound=Job)


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
    workers = min(jobs or _cores(), len(runs))
    failures: dict[Path, Exception] = {}
    with executor(runs, workers, runs_per_process) as execution, runs_progress(console) as progress:
        timesteps = {folder: run.timesteps for folder, run in runs.items()}
        display = RunsDisplay(progress, timesteps, workers)
        stop = threading.Event()
        listener = threading.Thread(target=_follow, args=(execution.reports, display, stop))
        listener.start()
        try:
            for folder, error in execution.outcomes:
                display.end(folder, failed=error is not None)
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


def _cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # which Linux has, where schedulers give out a few
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _follow(reports: Reports, display: RunsDisplay, stop: threading.Event) -> None:
    """Carry the workers' reports over to the display until told to stop."""
    while not (stop.is_set() and reports.empty()):
        try:
            folder, steps, value, note = reports.get(timeout=0.2)
        except queue.Empty:
            continue
        display.report(folder, steps, value, note)
