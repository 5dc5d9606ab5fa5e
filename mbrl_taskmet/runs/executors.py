"""Where runs are trained: in processes of this machine, or elsewhere."""

import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, MutableMapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from multiprocessing.managers import SyncManager
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple, Protocol

from mbrl_taskmet.reason import with_type
from mbrl_taskmet.runs.job import Job


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
    """In processes of this machine.

    If one is killed, the runs that are under way fail with it; those still waiting begin in fresh
    processes. If this process is killed, or gives up, they end too.
    """
    context = multiprocessing.get_context("spawn")
    manager = SyncManager(ctx=context)
    manager.start(initializer=_end_with_parent)
    with manager:
        reports, begun = manager.Queue(), manager.dict()
        # The manager's, since an event of processes waits for those that died waiting for it.
        given_up = manager.Event()
        new_pool = partial(
            ProcessPoolExecutor,
            jobs,
            context,
            initializer=_end_when_nobody_waits,
            initargs=(given_up,),
            max_tasks_per_child=runs_per_process,
        )
        with closing(_outcomes(runs, new_pool, reports, begun, given_up)) as outcomes:
            yield Execution(reports, outcomes)


def _outcomes(
    runs: Mapping[Path, Job],
    new_pool: Callable[[], ProcessPoolExecutor],
    reports: Any,
    begun: MutableMapping[Path, bool],
    given_up: Event,
) -> Generator[tuple[Path, BaseException | None], None, None]:
    waiting = dict(runs)
    while waiting:
        pool = new_pool()
        try:
            futures = {
                pool.submit(_train, run, folder, reports, begun): folder
                for folder, run in waiting.items()
            }
            for future in as_completed(futures):
                folder, error = futures[future], future.exception()
                if isinstance(error, BrokenProcessPool):
                    # Where none begins, none will.
                    if folder not in begun and any(other in begun for other in futures.values()):
                        continue
                    error = BrokenProcessPool("A process was killed: is there enough memory?")
                waiting.pop(folder)
                yield folder, error
        except BaseException:  # of who was told, and has left
            given_up.set()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Watch this process's parent, which may be killed before it can tell anyone to stop."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    _end_after(parent.join)


def _end_when_nobody_waits(given_up: Event) -> None:
    """End this process with its parent, or when nobody is left to keep what it would train."""
    _end_with_parent()
    _end_after(given_up.wait)


def _end_after(wait: Callable[[], object]) -> None:
    def watch() -> None:
        wait()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _train(run: Job, folder: Path, reports: Any, begun: MutableMapping[Path, bool]) -> None:
    """One run in a worker process."""
    begun[folder] = True
    train_in_worker(run, folder, folder, reports)


def train_in_worker(run: Job, place: Path, folder: Path, reports: Any) -> None:
    """Train a run in a process of its own, by one thread, since others have the other cores.

    Args:
        run: to be trained.
        place: folder of its files in this process.
        folder: by which others know it.
        reports: queue of what it tells.

    Raises:
        Exception: as the run does; one that would not survive the way to another process is a
            `RuntimeError` that says the same.
    """
    import torch  # here, since the process that holds the queue has no use for it

    torch.set_num_threads(1)
    try:
        run.train(place, lambda *report: reports.put((folder, *report)))
    except Exception as error:
        if _is_portable(error):
            raise
        raise RuntimeError(with_type(error)) from error


def _is_portable(error: Exception) -> bool:
    """Whether it can be put together again in another process.

    One that takes several arguments often cannot, and would end the processes of all runs.
    """
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # which can fail in any way
        return False
    return True
