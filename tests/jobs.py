"""Jobs for worker processes, which have to be able to import them."""

import os
import signal
import time
from dataclasses import dataclass

import torch


class TwoArgumentError(Exception):
    """Pickles, as exceptions do, with its message for its only argument."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")


@dataclass(frozen=True)
class Deed:
    """Leaves an empty folder, unless it fails, is killed or never comes to an end."""

    kind: str
    timesteps: int = 1

    def train(self, folder, report):
        if self.kind == "failing":
            raise ValueError("as foreseen")
        if self.kind == "failing oddly":
            raise TwoArgumentError(7, "the solver diverged")
        if self.kind == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        folder.mkdir()
        if self.kind == "endless":
            time.sleep(3_600)


class Signed(Deed):
    """Leaves the number of the process that trained it."""

    def train(self, folder, report):
        folder.write_text(str(os.getpid()))


class Threaded(Deed):
    """Leaves the number of threads that it computes with."""

    def train(self, folder, report):
        folder.write_text(str(torch.get_num_threads()))


class Stillborn(Deed):
    """Kills the process that receives it."""

    def __setstate__(self, state):
        os.kill(os.getpid(), signal.SIGKILL)
