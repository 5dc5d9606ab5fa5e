"""What can be trained in a folder, and what it tells meanwhile."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

Report = Callable[[int, float | None, str], None]
"""Called with the steps done, the mean return of recent episodes (None before the first), and what
takes long at the moment, if anything does."""


class Job(Protocol):
    """What can be trained in a folder of its own."""

    @property
    def timesteps(self) -> int:
        """How long, in environment steps or whatever it counts."""

    def train(self, folder: Path, report: Report) -> None:
        """Train it, leaving its files in a new folder."""
