"""Model-based reinforcement learning whose dynamics model learns what matters for the task.

Importing the package registers its environment ids with Gymnasium. The agents, and with them
Stable-Baselines3, are imported when they are first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import mbrl_taskmet.envs  # noqa: F401  (registers the environments)

if TYPE_CHECKING:
    from mbrl_taskmet.agents import MLE, OMD, VEP, ModelFree, Predictability, TaskMet, VaGraM

__version__ = "0.1.0"
__all__ = ["MLE", "OMD", "VEP", "ModelFree", "Predictability", "TaskMet", "VaGraM"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("mbrl_taskmet.agents"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
