"""Environments with distracting dimensions.

Importing this package registers the ids in `NOISY_IDS` with Gymnasium.
"""

from .action_echo import ActionEcho
from .autoregressive import Autoregressive
from .gaussian import Gaussian
from .kinds import DISTRACTOR_KINDS, make_process
from .multi_scale import MultiScale
from .process import DistractorProcess, Site
from .projected import Projected
from .redundant import Redundant
from .registration import NOISY_IDS, make_noisy, register_noisy_ids
from .sinusoid import Sinusoid
from .wrapper import DistractorWrapper

__all__ = [
    "DISTRACTOR_KINDS",
    "NOISY_IDS",
    "ActionEcho",
    "Autoregressive",
    "DistractorProcess",
    "DistractorWrapper",
    "Gaussian",
    "MultiScale",
    "Projected",
    "Redundant",
    "Sinusoid",
    "Site",
    "make_noisy",
    "make_process",
]

register_noisy_ids()
