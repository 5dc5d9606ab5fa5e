"""Runs on a Ray cluster: each in a worker of its own, again if the worker is lost."""

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mbrl_taskmet.runs.executors import Execution, train_in_worker
from mbrl_taskmet.runs.job import Job

RETRIES = 3
"""Times that a run is begun anew after its worker was lost."""


@contextmanager
def ray_cluster(
    runs: Mapping[Path, Job], jobs: int, runs_per_process: int | None
) -> Iterator[Execution]:
    """Each run on a core of the cluster that this process is in, or at `RAY_ADDRESS`, or made here.

    A run is trained in a folder of its worker, which comes back whole at its end, so that the
    machines need not share a disk.

    Raises:
        ValueError: if Ray is not installed.
    """
    try:
        import ray
        from ray.util.queue import Queue
    except ImportError as error:
        raise ValueError(
            "The executor ray needs Ray: pip install 'mbrl-taskmet[cluster]'."
        ) from error
    begins_here = not ray.is_initialized()
    if begins_here:
        # Without an address Ray would join whatever already runs on this machine.
        here = not os.environ.get("RAY_ADDRESS")
        ray.init(
            "local" if here else None,
            num_cpus=jobs if here else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    pending: dict[Any, Path] = {}
    try:
        reports = Queue(actor_options={"num_cpus": 0})
        train = ray.remote(num_cpus=1, max_calls=runs_per_process or 0, max_retries=RETRIES)(_train)
        pending |= {train.remote(run, folder, reports): folder for folder, run in runs.items()}
        yield Execution(reports, _outcomes(ray, pending))
    finally:
        for reference in pending:
            ray.cancel(reference, force=True)
        if begins_here:
            ray.shutdown()


def _outcomes(ray: Any, pending: dict[Any, Path]) -> Iterator[tuple[Path, BaseException | None]]:
    while pending:
        (reference,), _ = ray.wait(list(pending))
        folder = pending.pop(reference)
        try:
            files, error = ray.get(reference)
        except Exception as lost:
            yield folder, getattr(lost, "cause", None) or lost
            continue
        if files is not None:
            folder.mkdir(parents=True)
            for name, content in files.items():
                (folder / name).write_bytes(content)
        yield folder, error


def _train(
    run: Job, folder: Path, reports: Any
) -> tuple[dict[str, bytes] | None, Exception | None]:
    """One run in a worker: the files that it leaves, by name, and what went wrong."""
    error = None
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / folder.name
        try:
            train_in_worker(run, place, folder, reports)
        except Exception as found:  # which a raised one would leave without its files
            error = found
        if not place.exists():
            return None, error
        files = {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()}
    return files, error
