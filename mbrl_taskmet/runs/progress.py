"""What is seen of runs that are trained side by side: how far each has come, and all of them."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

MOST_BARS = 8
"""Runs up to which each keeps its bar; of more, only those that are running show."""

WINDOW_S = 300.0
"""Seconds over which the speed is a mean: several runs' evaluations, or the wait for a compiler."""


class RunsDisplay:
    """A bar for each run, or for those that are running, and one for all of them together.

    Runs are told apart by their folders. The last bar counts steps, since runs end too seldom to
    tell from them how long the rest will take. It is shown where some runs wait for others, or have
    no bar of their own.
    """

    def __init__(self, progress: Progress, timesteps: Mapping[Path, int], workers: int) -> None:
        self._progress = progress
        self._timesteps = dict(timesteps)
        self._crowded = len(timesteps) > MOST_BARS
        self._steps = dict.fromkeys(timesteps, 0)
        self._total = sum(timesteps.values())
        self._ended: set[Path] = set()
        self._updated = -math.inf
        # One thread follows the reports, another the ends.
        self._lock = threading.Lock()
        self._tasks = {
            folder: progress.add_task(
                folder.name,
                total=steps,
                start=False,
                visible=not self._crowded,
                episode_return=None,
            )
            for folder, steps in timesteps.items()
        }
        self._all = progress.add_task(
            self._count(), total=self._total, visible=self._crowded or len(timesteps) > workers
        )

    def report(self, folder: Path, steps: int, value: float | None, note: str) -> None:
        """A run has come so far; after its end this changes its own bar only."""
        with self._lock:
            task = self._tasks[folder]
            if folder not in self._ended:
                self._progress.start_task(task)
                self._progress.update(task, visible=True, note=note)
                self._steps[folder] = steps
            self._progress.update(task, completed=steps, episode_return=value)
            # Of each bar rich keeps a thousand samples, which are to reach back that far.
            if self._progress.get_time() - self._updated >= WINDOW_S / 1_000:
                self._update_all()

    def end(self, folder: Path, *, failed: bool = False) -> None:
        """A run has ended: none of its steps is left, nor if it failed were they done."""
        with self._lock:
            self._ended.add(folder)
            task = self._tasks[folder]
            self._progress.start_task(task)
            note = "failed" if failed else ""
            self._progress.update(task, visible=not self._crowded, note=note)
            if failed:
                self._progress.stop_task(task)
                self._total -= self._timesteps[folder] - self._steps[folder]
            else:
                self._steps[folder] = self._timesteps[folder]
            self._update_all()

    def _update_all(self) -> None:
        self._updated = self._progress.get_time()
        self._progress.update(
            self._all,
            total=self._total,
            completed=sum(self._steps.values()),
            description=self._count(),
        )

    def _count(self) -> str:
        return f"{len(self._ended)} of {len(self._tasks)} runs ended"


def runs_progress(console: Console, get_time: Callable[[], float] = time.monotonic) -> Progress:
    """What `RunsDisplay` adds its bars to."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _ReturnColumn(),
        _SpeedColumn(),
        _TimeLeftColumn(),
        console=console,
        speed_estimate_period=WINDOW_S,
        get_time=get_time,
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
        shown = speed is not None and _is_run(task) and not _has_failed(task)
        return Text(f"{speed:5.0f} steps/s" if shown else "", "cyan")


class _TimeLeftColumn(TimeRemainingColumn):
    """The time that is left, of what goes on."""

    def render(self, task: Task) -> Text:
        return Text() if _has_failed(task) else super().render(task)


def _has_failed(task: Task) -> bool:
    """Whether it was stopped before its end."""
    return task.stop_time is not None and not task.finished


def _is_run(task: Task) -> bool:
    """Whether it is a run, and not all of them together."""
    return "episode_return" in task.fields
