"""Callbacks that write down what an agent learned: its returns and its weights over time."""

import csv
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.vec_env import VecEnv

from ..whole_files import replacing, whole_lines
from .base import ModelBasedAlgorithm
from .finite import DivergenceError, check_evaluation

HERE = {"eval_freq": "`interval`, in steps of all environments", "n_eval_episodes": "`episodes`"}
"""What SB3's `EvalCallback` calls otherwise."""


class WeightsCallback(BaseCallback):
    """Writes the metric's weights to a CSV file, a column each, and to TensorBoard.

    Beside it, under the same name with the suffix `.npz`, stands all that is known of the metric
    at the file's last row (`MetricWeights.save`). What depends on experience can still be read
    there once the agent is loaded without its own.

    Args:
        path: of the file; written anew, unless training goes on (`reset_num_timesteps=False`) that
            has begun it; of what it holds, later steps than the agent has done are then left out.
        interval: environment steps between two rows.

    Raises:
        ValueError: if the interval is not positive, or the path is that of the other file.
    """

    model: ModelBasedAlgorithm

    def __init__(self, path: str | Path, interval: int = 1_000) -> None:
        _check_positive(interval=interval)
        super().__init__()
        self._path = Path(path)
        if self._path.suffix == ".npz":
            raise ValueError(
                f"{path} is where all that is known of the metric goes: name the CSV file beside "
                f"it, {self._path.with_suffix('.csv')}."
            )
        self._interval = interval
        self._due = 0

    def _on_training_start(self) -> None:
        header = ["timesteps", *self.model.dimension_names]
        last = _begin(self._path, header, self.num_timesteps)
        # Where training goes on, what it begins with may be the last row already.
        is_written = last == self.num_timesteps
        self._due = self.num_timesteps + (self._interval if is_written else 0)

    def _on_rollout_start(self) -> None:
        # Not in `_on_step`, which comes before the update that belongs to the step.
        if self.num_timesteps >= self._due and not self.model.lacks_experience:
            while self._due <= self.num_timesteps:
                self._due += self._interval
            self._record()

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        if not self.model.lacks_experience:  # as a loaded agent does that was stopped at once
            self._record()

    def _record(self) -> None:
        found = self.model.metric_weights()
        weights = found.weights
        found.save(self._path.with_suffix(".npz"))
        _write(self._path, [[self.num_timesteps, *(f"{w:.6g}" for w in weights)]], "a")
        self.logger.record(
            "metric/weights",
            torch.as_tensor(weights),
            exclude=("stdout", "log", "json", "csv"),
        )


class ReturnsCallback(EvalCallback):
    """Stable-Baselines3's evaluation of any of its agents, with a row for each in a CSV file.

    Beside it, or in the folder `log_path` if that is given, stands SB3's own `evaluations.npz`, of
    this training alone. The row holds `COLUMNS`, of which those that only a model-based agent has
    stay empty.

    Args:
        eval_env: environments apart from those of training.
        path: of the file; written anew, unless training goes on (`reset_num_timesteps=False`) that
            has begun it; of what it holds, later steps than the agent has done are then left out.
        interval: environment steps between two evaluations.
        episodes: in each evaluation.
        checkpoint: file to which the agent is saved after each evaluation, if given.
        **options: what else SB3's `EvalCallback` takes, such as `best_model_save_path`.

    Raises:
        TypeError: for what SB3 calls otherwise than here.
        ValueError: if the interval or the number of episodes is not positive.
    """

    COLUMNS = (
        "timesteps",
        "episode_return",
        "episode_return_std",
        "model_mse",
        "model_mse_real",
        "real_over_distractor_ratio",
        "real_on_top",
        "ranking_auc",
        "cpu_s",
    )

    def __init__(
        self,
        eval_env: VecEnv,
        path: str | Path,
        *,
        interval: int = 2_000,
        episodes: int = 10,
        checkpoint: str | Path | None = None,
        **options: Any,
    ) -> None:
        _check_positive(interval=interval, episodes=episodes)
        for name in HERE.keys() & options:
            raise TypeError(f"{type(self).__name__} has no {name}: it is {HERE[name]} here.")
        options = {"verbose": 0, **options}
        options["log_path"] = options.get("log_path") or str(Path(path).parent)
        super().__init__(eval_env, n_eval_episodes=episodes, eval_freq=interval, **options)
        self._interval = interval
        self._csv = Path(path)
        self._checkpoint = checkpoint

    def _init_callback(self) -> None:
        super()._init_callback()
        # The interval is given in steps, and SB3 counts calls, one for all environments.
        self.eval_freq = max(self._interval // self.training_env.num_envs, 1)
        _begin(self._csv, self.COLUMNS, self.model.num_timesteps)

    def _on_step(self) -> bool:
        try:
            go_on = super()._on_step()
        except FloatingPointError as error:
            kind = DivergenceError if isinstance(error, DivergenceError) else FloatingPointError
            raise kind(f"In the evaluation after {self.num_timesteps} steps: {error}") from error
        if self.n_calls % self.eval_freq == 0:
            row = self._row()
            _write(self._csv, [[row.get(column, "") for column in self.COLUMNS]], "a")
            if self._checkpoint is not None:
                self.model.save(self._checkpoint)
        return go_on

    def _log_success_callback(self, locals_: dict[str, Any], globals_: dict[str, Any]) -> None:
        """What `evaluate_policy` calls after each step of an environment."""
        check_evaluation(locals_, globals_)
        super()._log_success_callback(locals_, globals_)

    def _row(self) -> dict[str, Any]:
        returns = np.asarray(self.evaluations_results[-1])
        return {
            "timesteps": self.num_timesteps,
            "episode_return": returns.mean(),
            "episode_return_std": returns.std(),
            "cpu_s": round(time.process_time(), 2),
        }


class EvaluationCallback(ReturnsCallback):
    """Evaluation of a model-based agent: its returns, its model's errors and its weights.

    The columns that compare real dimensions with distractors are empty where there are none of
    one or the other. Where noise is mixed into every dimension, all dimensions count as real for
    the model's error, and the weights are compared along what was mixed. The agent never sees which
    dimensions those are.

    Args:
        distractor_mask: True for what is nothing but a distractor, shape (n,); None if unknown.
        mixing: R, of what is mixed into the observations, shape (n, n); None for nothing.
        mixed_distractors: which of the columns of R are distractors, shape (n,).
        **options: as in `ReturnsCallback`.

    Raises:
        ValueError: when learning begins, if these are of other shapes, of a mixing it is not said
            which columns are distractors, or dimensions stand in another order than in training.
    """

    model: ModelBasedAlgorithm

    def __init__(
        self,
        eval_env: VecEnv,
        path: str | Path,
        *,
        distractor_mask: ArrayLike | None = None,
        mixing: ArrayLike | None = None,
        mixed_distractors: ArrayLike = (),
        **options: Any,
    ) -> None:
        super().__init__(eval_env, path, **options)
        self._mask = None if distractor_mask is None else np.asarray(distractor_mask, bool)
        self._mixing = None if mixing is None else np.asarray(mixing, np.float64)
        self._mixed = np.asarray(mixed_distractors, bool)

    def _init_callback(self) -> None:
        n = len(self.model.dimension_names)
        if self._mask is not None:
            _check_shape("distractor_mask", self._mask, (n,))
        if self._mixing is not None:
            _check_shape("mixing", self._mixing, (n, n))
            _check_shape("mixed_distractors", self._mixed, (n,))
        if misplaced := self.model.misplaced(self.eval_env):
            raise ValueError(f"The evaluation does not fit, since {misplaced}: keep the order.")
        super()._init_callback()

    def _row(self) -> dict[str, Any]:
        row = super()._row() | {"model_mse": self.model.last_info.get("model_mse", "")}
        if self._mask is None:
            return row
        if self.model.last_info and not self._mask.all():
            row["model_mse_real"] = self.model.prediction_errors()[~self._mask].mean()
        mask = self._mask if self._mixing is None else self._mixed
        if mask.any() and not mask.all() and not self.model.lacks_experience:
            weights = self.model.metric_weights()
            if self._mixing is not None:
                weights = weights.before_mixing(self._mixing)
            row |= weights.separation(mask).as_dict()
        return row


def _check_positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} must be 1 or more; got {value}.")


def _check_shape(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(
            f"{name} has shape {array.shape}, not {shape}: take it from the environment."
        )


def _begin(path: Path, header: Sequence[str], num_timesteps: int) -> int | None:
    """Write the header, unless training goes on that has begun the file.

    Returns:
        The steps of the last row that stays, none of which is later than `num_timesteps`.

    Raises:
        ValueError: if the file that would be continued is damaged, or has other columns.
    """
    if num_timesteps == 0 or not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, [header], "w")
        return None
    try:
        found, *rows = csv.reader(whole_lines(path))
        steps = [int(row[0]) for row in rows]
        if any(len(row) != len(found) for row in rows):
            raise ValueError("a row is not whole")
    except (ValueError, IndexError, csv.Error):
        raise ValueError(f"{path} is damaged: move it away, or choose another path.") from None
    if found != list(header):
        raise ValueError(
            f"{path} has other columns than are written here: move it away, or choose another path."
        )
    # An agent that goes on from an earlier checkpoint passes later steps again.
    past = [row for row, step in zip(rows, steps, strict=True) if step <= num_timesteps]
    with replacing(path) as part:
        _write(part, [found, *past], "w")
    return int(past[-1][0]) if past else None


def _write(path: Path, rows: Iterable[Sequence[Any]], mode: str) -> None:
    with path.open(mode, newline="") as file:
        csv.writer(file).writerows(rows)
