"""Time of one update, for every agent, compiled and not, beside the references and the limit."""

import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..compilation import CompiledFunction
from .cases import VARIANTS, Case, make_case
from .measure import Limit, arithmetic_limit, interleaved
from .reference import AutogradReference, HigherReference

COLUMNS = (
    "variant",
    "mode",
    "num_distractors",
    "cpu_ms",
    "wall_ms",
    "updates_per_cpu_s",
    "flops",
    "ratio_to_limit",
    "ratio_to_reference",
    "compile_s",
    "peak_mib",
)
REFERENCES = {"reference_autograd": AutogradReference, "reference_higher": HigherReference}


@dataclass(frozen=True)
class UpdateBenchmark:
    """What is timed.

    Attributes:
        num_distractors: each k.
        rounds: interleaved calls of each.
        fresh: whether to measure each compilation and peak memory in a fresh process.
    """

    num_distractors: Sequence[int] = (0, 16, 128, 512)
    rounds: int = 300
    fresh: bool = True

    def run(self) -> Iterator[dict[str, Any]]:
        """A row for each variant and mode, k by k."""
        torch.set_num_threads(1)
        for k in self.num_distractors:
            yield from self._run(k)

    def _run(self, k: int) -> Iterator[dict[str, Any]]:
        cases = {name: make_case(name, k) for name in VARIANTS}
        functions: dict[tuple[str, str], Callable[[], Any]] = {}
        for name, case in cases.items():
            functions[name, "eager"] = Stepper(case)
            functions[name, "compiled"] = Stepper(case, compiled=True)
        batch = cases["taskmet"].batch
        for name, reference in REFERENCES.items():
            update = reference(batch.observations.shape[1]).update
            functions[name, "eager"] = lambda update=update: update(batch)  # type: ignore[misc]
        timings = interleaved(
            {"/".join(key): f for key, f in functions.items()}, rounds=self.rounds
        )
        limits = {name: arithmetic_limit(Stepper(case)) for name, case in cases.items()}
        reference_cpu = timings["reference_autograd/eager"].cpu
        for name, mode in functions:
            timing = timings[f"{name}/{mode}"]
            limit: Limit | None = limits.get(name)
            compile_s, peak_mib = fresh_process(name, mode, k) if self.fresh else ("", "")
            yield dict(
                zip(
                    COLUMNS,
                    (
                        name,
                        mode,
                        k,
                        round(1e3 * timing.cpu, 3),
                        round(1e3 * timing.wall, 3),
                        round(1 / timing.cpu, 1),
                        limit.flops if limit else "",
                        round(timing.cpu / limit.seconds, 2) if limit else "",
                        round(reference_cpu / timing.cpu, 2),
                        compile_s,
                        peak_mib,
                    ),
                    strict=True,
                )
            )


class Stepper:
    """Calls an update again and again, each time on the state it returned.

    Args:
        case: the update and its batches.
        compiled: whether to compile it at the first call.
    """

    def __init__(self, case: Case, *, compiled: bool = False) -> None:
        self._state = case.state
        self._batches = case.batch, case.task_batch
        self._update: Callable[..., Any] = case.update
        if compiled:
            self._update = CompiledFunction(case.update.__call__, lambda: None)

    def __call__(self) -> None:
        """One update."""
        with torch.no_grad():
            self._state, _ = self._update(self._state, *self._batches)


def fresh_process(variant: str, mode: str, num_distractors: int) -> tuple[float | str, float]:
    """Seconds of the first compilation, and the peak memory in MiB, of a process of its own."""
    with (
        tempfile.TemporaryDirectory() as cache,
        multiprocessing.get_context("spawn").Pool(1) as pool,
    ):
        return pool.apply(_first_updates, (variant, mode, num_distractors, cache))


def _first_updates(
    variant: str, mode: str, num_distractors: int, cache: str
) -> tuple[float | str, float]:
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
    torch.set_num_threads(1)
    compile_s: float | str = ""
    if variant in REFERENCES:
        case = make_case("taskmet", num_distractors)
        update = REFERENCES[variant](case.batch.observations.shape[1]).update
        for _ in range(20):
            update(case.batch)
    else:
        step = Stepper(make_case(variant, num_distractors), compiled=mode == "compiled")
        began = time.perf_counter()
        step()
        if mode == "compiled":
            compile_s = round(time.perf_counter() - began, 1)
        for _ in range(20):
            step()
    return compile_s, round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
