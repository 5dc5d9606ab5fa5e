"""What training tells while it goes on: how far it has come, and its log."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure

from mbrl_taskmet.runs.job import Report


@contextmanager
def logging_to(agent: BaseAlgorithm, folder: Path, formats: Sequence[str]) -> Iterator[None]:
    """Let an agent log into a folder, whose files are closed at the end, also of failed training.

    Args:
        agent: about to learn.
        folder: of the log.
        formats: of its files, as Stable-Baselines3 names them: csv, tensorboard.
    """
    agent.set_logger(configure(str(folder), list(formats)))
    try:
        yield
    finally:
        agent.logger.close()


class ReportCallback(BaseCallback):
    """Tells how far training has come."""

    def __init__(self, report: Report, interval: int = 200) -> None:
        super().__init__()
        self._report = report
        self._interval = interval

    def _on_step(self) -> bool:
        if self.n_calls % self._interval == 0:
            self._tell()
        return True

    def _on_training_end(self) -> None:
        self._tell()

    def _tell(self) -> None:
        episodes = self.model.ep_info_buffer or ()
        returns = [episode["r"] for episode in list(episodes)[-10:]]
        self._report(self.num_timesteps, sum(returns) / len(returns) if returns else None, "")
