"""Where runs are trained: in processes of this machine, or elsewhere."""

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from mbrl_taskmet.runs.training import Job


class Reports(Protocol):
    """A queue of what runs tell while they train: folder, steps, return, note."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """The next one; raises `queue.Empty` after the timeout in seconds."""

    def empty(self) -> bool:
        """Whether there is none."""


class Execution(NamedTuple):
    """Runs on their way.

    Attributes:
        reports: of their progress.
        outcomes: of each run as it ends, its folder and what went wrong, if anything did; the
            folder then holds the run's files.
    """

    reports: Reports
    outcomes: Iterator[tuple[Path, BaseException | None]]


Executor = Callable[[Mapping[Path, Job], int, int | None], AbstractContextManager[Execution]]
"""Trains each run in its folder: how many at a time, and after how many a process is replaced by a
fresh one (None for never)."""


@contextmanager
def local_processes(
    runs: Mapping[Path, Job], jobs: int, runs_per_process: int | None
) -> Iterator[Execution]:
    """In processes of this machine."""
    context = multiprocessing.get_context("spawn")
    with (
        context.Manager() as manager,
        ProcessPoolExecutor(jobs, context, max_tasks_per_child=runs_per_process) as pool,
    ):
        reports = manager.Queue()
        futures = {
            pool.submit(_train, run, folder, reports): folder for folder, run in runs.items()
        }
        yield Execution(reports, _outcomes(futures))


def _outcomes(
    futures: Mapping[Future[None], Path],
) -> Iterator[tuple[Path, BaseException | None]]:
    for future in as_completed(futures):
        yield futures[future], future.exception()


def _train(run: Job, folder: Path, reports: Any) -> None:
    """One run in a worker process."""
    run.train(folder, lambda *report: reports.put((folder, *report)))
