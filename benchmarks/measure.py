"""Processor time of functions, interleaved, and the limit that their arithmetic sets."""

import hashlib
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

Result = TypeVar("Result")


@dataclass(frozen=True)
class Timing:
    """Median seconds of one call.

    Attributes:
        cpu: of the process.
        wall: on the clock.
    """

    cpu: float
    wall: float


def interleaved(
    functions: Mapping[str, Callable[[], Any]], *, rounds: int, turn: int = 1, warm_up: int = 3
) -> dict[str, Timing]:
    """Time functions in turn, so that whatever else the machine does falls on all alike.

    Args:
        functions: by name.
        rounds: turns of each.
        turn: calls in a turn, each of them timed. With one, a function always starts from the
            caches that the others left; with several it mostly follows itself.
        warm_up: calls of each before.
    """
    for function in functions.values():
        for _ in range(warm_up):
            function()
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            for _ in range(turn):
                cpu, wall = time.process_time(), time.perf_counter()
                function()
                samples[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    return {
        name: Timing(median(cpu for cpu, _ in taken), median(wall for _, wall in taken))
        for name, taken in samples.items()
    }


REPEATS = 20
"""Products in one measurement, which would otherwise be shorter than the clock's grain."""

Shape = tuple[int, int, int, int]
"""Of a product of matrices: copies, rows, inner dimension, columns."""


class MatrixProducts(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the matrix products that run within it, by shape, those of the same numbers once."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.shapes: Counter[Shape] = Counter()
        self._seen: set[tuple[Shape, bytes, bytes]] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Note a product's shape and go on."""
        name = func.overloadpacket.__name__
        if name in ("mm", "bmm"):
            left, right = args[0], args[1]
            copies = left.shape[0] if name == "bmm" else 1
            shape = (copies, left.shape[-2], left.shape[-1], right.shape[-1])
            product = shape, _digest(left), _digest(right)
            if product not in self._seen:
                self._seen.add(product)
                self.shapes[shape] += 1
        return func(*args, **(kwargs or {}))


def _digest(matrix: Tensor) -> bytes:
    return hashlib.sha256(matrix.numpy().tobytes()).digest()


@dataclass(frozen=True)
class Limit:
    """What a function's matrix products alone would cost.

    Attributes:
        flops: floating-point operations, two for each multiplication and addition.
        seconds: the sum of the products' own times, each measured at its shape, less what a
            product of two numbers takes, which is the cost of calling.
    """

    flops: int
    seconds: float


def arithmetic_limit(function: Callable[[], Any], *, rounds: int = 30) -> Limit:
    """Count a function's matrix products and measure each of their shapes by itself.

    Args:
        function: called twice, since in a fresh state quantities coincide that later differ.
        rounds: of measuring each shape.
    """
    function()
    with MatrixProducts() as products:
        function()
    flops = sum(count * 2 * c * m * k * n for (c, m, k, n), count in products.shapes.items())
    trivial: Shape = (1, 1, 1, 1)
    shapes = [trivial, *products.shapes]
    timings = interleaved({str(shape): _product(shape) for shape in shapes}, rounds=rounds)
    calling = timings[str(trivial)].cpu
    seconds = sum(
        count * max(timings[str(shape)].cpu - calling, 0) / REPEATS
        for shape, count in products.shapes.items()
    )
    return Limit(flops, seconds)


def _product(shape: Shape) -> Callable[[], None]:
    copies, rows, inner, columns = shape
    batch = () if copies == 1 else (copies,)
    left, right = torch.randn(*batch, rows, inner), torch.randn(*batch, inner, columns)
    out = torch.empty(*batch, rows, columns)

    def repeat() -> None:
        for _ in range(REPEATS):
            torch.matmul(left, right, out=out)

    return repeat


def in_fresh_process(function: Callable[..., Result], *arguments: Any) -> Result:
    """What a function returns in a process that has done nothing before."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        return executor.submit(function, *arguments).result()


def peak_memory() -> float:
    """The most memory that this process has held, in MiB.

    Where there is no `/proc` it includes what its parent held when it started this process.
    """
    try:
        return _process("status", "VmHWM")
    except OSError:
        import resource  # here, since Windows has none

        bytes_each = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * bytes_each / 2**20


def resident_memory() -> float:
    """The memory that this process holds now, in MiB, to the page.

    Raises:
        OSError: where there is no `/proc`.
    """
    return _process("smaps_rollup", "Rss")


def _process(file: str, quantity: str) -> float:
    lines = Path("/proc/self", file).read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{quantity}:"))
    return int(line.split()[1]) / 1024
