"""Time of one update, for every agent, compiled and not, beside the references and the limit."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from .cases import VARIANTS, Stepper, make_case
from .measure import arithmetic_limit, in_fresh_process, interleaved, peak_memory
from .reference import AutogradReference, HigherReference, LeanReference

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
REFERENCES = {
    "reference_autograd": AutogradReference,
    "reference_lean": LeanReference,
    "reference_higher": HigherReference,
}


@dataclass(frozen=True)
class UpdateBenchmark:
    """What is timed.

    Attributes:
        num_distractors: each k.
        rounds: interleaved turns of each.
        turn: calls in a turn: in training an update follows an update, with little in between.
        fresh: whether to measure each compilation and peak memory in a fresh process.
    """

    num_distractors: Sequence[int] = (0, 16, 128, 512)
    rounds: int = 30
    turn: int = 10
    fresh: bool = True

    def run(self) -> Iterator[dict[str, Any]]:
        """A row for each variant and mode, k by k, with what needs fresh processes last."""
        torch.set_num_threads(1)
        timed = [row for k in self.num_distractors for row in self._time(k)]
        for row in timed:
            compile_s, peak_mib = fresh_process(row) if self.fresh else ("", "")
            yield row | {"compile_s": compile_s, "peak_mib": peak_mib}

    def _time(self, k: int) -> Iterator[dict[str, Any]]:
        cases = {name: make_case(name, k) for name in VARIANTS}
        functions: dict[tuple[str, str], Callable[[], Any]] = {}
        for name, case in cases.items():
            functions[name, "eager"] = Stepper(case)
            functions[name, "compiled"] = Stepper(case, compiled=True)
        batch = next(iter(cases.values())).batch
        for name, reference in REFERENCES.items():
            update = reference(batch.observations.shape[1]).update
            functions[name, "eager"] = partial(update, batch)
        timings = interleaved(
            {"/".join(key): f for key, f in functions.items()}, rounds=self.rounds, turn=self.turn
        )
        limits = {name: arithmetic_limit(Stepper(case)) for name, case in cases.items()}
        reference_cpu = timings["reference_autograd/eager"].cpu
        for name, mode in functions:
            timing, limit = timings[f"{name}/{mode}"], limits.get(name)
            yield {
                "variant": name,
                "mode": mode,
                "num_distractors": k,
                "cpu_ms": round(1e3 * timing.cpu, 3),
                "wall_ms": round(1e3 * timing.wall, 3),
                "updates_per_cpu_s": round(1 / timing.cpu, 1),
                "flops": limit.flops if limit else "",
                "ratio_to_limit": round(timing.cpu / limit.seconds, 2) if limit else "",
                "ratio_to_reference": round(reference_cpu / timing.cpu, 2),
            }


def fresh_process(row: Mapping[str, Any]) -> tuple[float | str, float]:
    """Seconds of the first compilation, and the peak memory in MiB, of a process of its own."""
    what = row["variant"], row["mode"], row["num_distractors"]
    with tempfile.TemporaryDirectory() as cache:
        return in_fresh_process(_first_updates, *what, cache)


def _first_updates(
    variant: str, mode: str, num_distractors: int, cache: str
) -> tuple[float | str, float]:
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
    torch.set_num_threads(1)
    if variant in REFERENCES:
        batch = make_case("taskmet", num_distractors).batch
        step: Callable[[], Any] = partial(REFERENCES[variant](batch[0].shape[1]).update, batch)
    else:
        step = Stepper(make_case(variant, num_distractors), compiled=mode == "compiled")
    began = time.perf_counter()
    step()
    first = time.perf_counter() - began
    for _ in range(20):
        step()
    return round(first, 1) if mode == "compiled" else "", round(peak_memory(), 1)
