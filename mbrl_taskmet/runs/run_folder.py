"""A run's folder: what it is called and what lies where in it."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbrl_taskmet.agents import MetricWeights
from mbrl_taskmet.whole_files import whole_lines


class RunFolderError(ValueError):
    """A run folder that cannot be used, said in one sentence."""


@dataclass(frozen=True)
class RunFolder:
    """Names of the files of one run.

    Attributes:
        path: of the folder; it also holds `progress.csv`, `evaluations.npz` and the TensorBoard
            events, which Stable-Baselines3 names.
    """

    path: Path

    @property
    def config(self) -> Path:
        """How the run was made."""
        return self.path / "config.json"

    @property
    def agent(self) -> Path:
        """The final agent."""
        return self.path / "agent.zip"

    @property
    def checkpoint(self) -> Path:
        """The agent at the last evaluation."""
        return self.path / "checkpoint.zip"

    @property
    def has_ended(self) -> bool:
        """Whether the run has left its final agent."""
        return self.agent.exists()

    @property
    def latest(self) -> Path:
        """The final agent, or the one at the last evaluation if the run did not end."""
        return self.agent if self.has_ended else self.checkpoint

    @property
    def evaluations(self) -> Path:
        """A row for each evaluation."""
        return self.path / "evaluations.csv"

    @property
    def weights(self) -> Path:
        """The metric's weights over time."""
        return self.path / "weights.csv"

    @property
    def metric(self) -> Path:
        """All that is known of the metric at the last of the weights over time."""
        return self.path / "weights.npz"

    @property
    def figure(self) -> Path:
        """The weights as a picture."""
        return self.path / "weights.png"

    @property
    def film(self) -> Path:
        """An episode of the trained agent, if it was asked for."""
        return self.path / "evaluation.mp4"

    def read_config(self) -> dict[str, Any]:
        """The configuration as it was written.

        Raises:
            RunFolderError: if it is not there or not readable.
        """
        try:
            config: dict[str, Any] = json.loads(self.config.read_text())
        except FileNotFoundError:
            raise RunFolderError(
                f"{self.path} is not a run folder: it holds no config.json."
            ) from None
        except ValueError:
            raise RunFolderError(
                f"{self.config} is damaged: restore it, or train the agent again."
            ) from None
        return config

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Make the folder and write the configuration."""
        self.path.mkdir(parents=True)
        self.config.write_text(json.dumps(config, indent=2) + "\n")

    def read_evaluations(self) -> list[dict[str, str]]:
        """A row for each evaluation so far, by column."""
        return list(csv.DictReader(whole_lines(self.evaluations)))

    def read_weights(self) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
        """Names of the dimensions, timesteps of shape (T,), and weights of shape (T, n).

        Raises:
            RunFolderError: if nothing was recorded yet, or the file is damaged.
        """
        try:
            lines = whole_lines(self.weights) if self.weights.exists() else []
            header, *rows = list(csv.reader(lines)) or [[]]
            values = np.array(rows, dtype=np.float64).reshape(len(rows), len(header))
        except (ValueError, csv.Error):
            raise RunFolderError(
                f"{self.weights} is damaged: its rows are not numbers, one for each column."
            ) from None
        if not rows:
            raise RunFolderError(f"{self.weights} holds no weights yet: let the run go on.")
        return header[1:], values[:, 0], values[:, 1:]

    def read_metric(self) -> MetricWeights:
        """The metric at the last of the weights over time; its weights alone in an old folder.

        Raises:
            RunFolderError: if nothing was recorded yet, or a file is damaged.
        """
        names, _, weights = self.read_weights()
        if not self.metric.exists():
            return MetricWeights(tuple(names), weights[-1])
        try:
            return MetricWeights.load(self.metric)
        except ValueError as error:
            raise RunFolderError(str(error)) from None


def find_runs(path: Path) -> list[RunFolder]:
    """The run in this folder, or the runs (one for each seed) in the folders within.

    Raises:
        RunFolderError: if there is none.
    """
    if not path.is_dir():
        raise RunFolderError(f"There is no folder {path}.")
    if RunFolder(path).config.exists():
        return [RunFolder(path)]
    runs = [RunFolder(p.parent) for p in sorted(path.glob("*/config.json"))]
    if not runs:
        raise RunFolderError(f"{path} is not a run folder: it holds no config.json.")
    return runs
