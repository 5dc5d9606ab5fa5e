"""What is seen of runs that are trained side by side: how far each has come, and all of them."""

from collections.abc import Mapping
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
    tell from them how long the rest will take; it shows where some runs wait for others.
    """

    def __init__(self, progress: Progress, timesteps: Mapping[Path, int], workers: int) -> None:
        self._progress = progress
        self._crowded = len(timesteps) > MOST_BARS
        self._ended: set[Path] = set()
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
            self._count(), total=sum(timesteps.values()), visible=len(timesteps) > workers
        )

    def report(self, folder: Path, steps: int, value: float | None, note: str) -> None:
        """A run has come so far; after its end this changes its numbers only."""
        task = self._progress.tasks[self._tasks[folder]]
        if not task.started:
            self._progress.start_task(task.id)
            self._progress.update(task.id, visible=True)
        self._progress.update(task.id, completed=steps, episode_return=value, note=note)
        self._update_all()

    def end(self, folder: Path) -> None:
        """A run has ended, well or not: none of its steps is left."""
        task = self._tasks[folder]
        self._progress.start_task(task)  # or a late report would, and show it again
        self._progress.update(task, visible=not self._crowded)
        self._ended.add(folder)
        self._update_all()

    def _update_all(self) -> None:
        tasks = {folder: self._progress.tasks[task] for folder, task in self._tasks.items()}
        steps = sum(
            (task.total or 0) if folder in self._ended else task.completed
            for folder, task in tasks.items()
        )
        self._progress.update(self._all, completed=steps, description=self._count())

    def _count(self) -> str:
        return f"{len(self._ended)} of {len(self._tasks)} runs done"


def runs_progress(console: Console) -> Progress:
    """What `RunsDisplay` adds its bars to."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _ReturnColumn(),
        _SpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        speed_estimate_period=WINDOW_S,
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
    """Whether it is a run, and not all of them together."""
    return "episode_return" in task.fields
