"""Random numbers of their own for each thing that is drawn, whatever the seeds."""

from typing import Literal

import numpy as np
import torch

STREAMS = ("data", "model")


def stream(seed: int, purpose: Literal["data", "model"]) -> torch.Generator:
    """A generator of the numbers for a purpose.

    Equal seeds of data and model draw different numbers: initial weights are not the first
    numbers of the data once more.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(STREAMS.index(purpose),))
    (state,) = sequence.generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state))
