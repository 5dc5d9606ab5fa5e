"""One method on one task with one pair of seeds, and what came of it."""

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from mbrl_taskmet.decision.bounded import within_range
from mbrl_taskmet.decision.catalogue import METHODS, SETUPS, WITH_ALPHA
from mbrl_taskmet.decision.problem import Problem, Split
from mbrl_taskmet.decision.quality import Quality, Yardstick, evaluate, measure
from mbrl_taskmet.decision.streams import stream
from mbrl_taskmet.suggestion import check_choice


class Outcome(NamedTuple):
    """What a predictor is worth on the test data, and what it took to train it.

    Attributes:
        quality: of its decisions, and its mean squared error.
        seconds: of processor time.
    """

    quality: Quality
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A task, a method and the seeds of both.

    Attributes:
        problem: a name in `SETUPS`.
        regime: of its data; its first if not given.
        method: a name in `METHODS`.
        alpha: weight of the mean squared error beside the loss of DFL and LODL.
        dataset_seed: of the data.
        model_seed: of everything that training draws.

    Raises:
        ValueError: if there is no such task, regime or method, or the method has no α.
    """

    problem: str
    method: str
    regime: str = ""
    alpha: float = 0.0
    dataset_seed: int = 0
    model_seed: int = 0

    def __post_init__(self) -> None:
        check_choice("problem", self.problem, SETUPS)
        check_choice("method", self.method, METHODS)
        regimes = SETUPS[self.problem].regimes
        if self.regime:
            check_choice(f"regime of {self.problem}", self.regime, regimes)
        else:
            object.__setattr__(self, "regime", regimes[0])
        if self.alpha != 0 and self.method not in WITH_ALPHA:
            raise ValueError(
                f"The method {self.method} has no alpha: leave it out, or choose one of "
                f"{', '.join(sorted(WITH_ALPHA))}."
            )

    def run(self) -> Outcome:
        """Train on the training data and decide on the test data."""
        setup = SETUPS[self.problem]
        problem, data, yardstick = _prepared(self.problem, self.regime, self.dataset_seed)
        network = within_range(setup.network, problem, data.train.targets)
        predict = METHODS[self.method](setup, self.alpha)
        generator = stream(self.model_seed, "model")
        start = time.process_time()
        y_hat = predict(problem, network, data, generator)
        seconds = time.process_time() - start
        return Outcome(evaluate(problem, y_hat, data.test, yardstick), seconds)


@lru_cache(maxsize=1)
def _prepared(name: str, regime: str, seed: int) -> tuple[Problem, Split, Yardstick]:
    """A problem with its data and yardstick, kept for the next method on the same data."""
    problem = SETUPS[name].problem(regime, seed)
    data = problem.split()
    return problem, data, measure(problem, data.test)
