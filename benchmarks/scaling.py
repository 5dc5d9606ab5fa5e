"""How time grows with the batch, the width and the distractors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from .cases import Stepper, make_case
from .measure import arithmetic_limit, interleaved

COLUMNS = ("varied", "value", "mode", "cpu_ms", "flops", "limit_ms", "ratio_to_limit")
BASE = {"batch": 256, "hidden": 32, "num_distractors": 16}


@dataclass(frozen=True)
class ScalingBenchmark:
    """What is varied, one quantity at a time around `BASE`.

    Attributes:
        batch: sizes of the batch.
        hidden: widths of both hidden layers of every network.
        num_distractors: each k.
        rounds: calls of each.
    """

    batch: Sequence[int] = (64, 256, 1024, 4096)
    hidden: Sequence[int] = (32, 64, 128, 256, 512)
    num_distractors: Sequence[int] = (0, 16, 64, 128, 256, 512, 1024, 2048)
    rounds: int = 30

    def run(self) -> Iterator[dict[str, Any]]:
        """A row for each quantity and value, of the compiled update of TaskMet."""
        torch.set_num_threads(1)
        for varied in BASE:
            for value in getattr(self, varied):
                yield self._run(varied, value)

    def _run(self, varied: str, value: int) -> dict[str, Any]:
        sizes = BASE | {varied: value}
        case = make_case(
            "taskmet",
            sizes["num_distractors"],
            batch_size=sizes["batch"],
            hidden=(sizes["hidden"],) * 2,
        )
        step = {"compiled": Stepper(case, compiled=True)}
        timing = interleaved(step, rounds=self.rounds)["compiled"]
        limit = arithmetic_limit(Stepper(case), rounds=10)
        values = (
            varied,
            value,
            "compiled",
            round(1e3 * timing.cpu, 3),
            limit.flops,
            round(1e3 * limit.seconds, 3),
            round(timing.cpu / limit.seconds, 2),
        )
        return dict(zip(COLUMNS, values, strict=True))
