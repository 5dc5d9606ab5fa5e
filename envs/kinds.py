"""The kinds of distractor by name."""

from __future__ import annotations

import inspect
from typing import Any

from ..suggestion import did_you_mean
from .action_echo import ActionEcho
from .autoregressive import Autoregressive
from .gaussian import Gaussian
from .multi_scale import MultiScale
from .process import DistractorProcess
from .projected import Projected
from .redundant import Redundant
from .sinusoid import Sinusoid

DISTRACTOR_KINDS: dict[str, type[DistractorProcess[Any]]] = {
    "gaussian": Gaussian,
    "autoregressive": Autoregressive,
    "sinusoid": Sinusoid,
    "action_echo": ActionEcho,
    "redundant": Redundant,
    "multi_scale": MultiScale,
    "projected": Projected,
}


def make_process(kind: str | DistractorProcess[Any], **parameters: Any) -> DistractorProcess[Any]:
    """Return the process of a kind.

    Args:
        kind: a name in `DISTRACTOR_KINDS`, or a process, which is returned as it is.
        **parameters: the kind's own parameters, see its class; none for a process, which has
            them already.

    Returns:
        The process.

    Raises:
        TypeError: if `kind` is neither a name nor a process, or has no such parameter.
        ValueError: if no kind has this name, or a parameter is out of range.
    """
    if isinstance(kind, DistractorProcess):
        if parameters:
            raise TypeError(
                f"{kind} was given together with {sorted(parameters)}: "
                "set these parameters where the process is made."
            )
        return kind
    if not isinstance(kind, str):
        raise TypeError(
            f"kind must be a name or a DistractorProcess, got {kind!r}: "
            f"pass one of {list(DISTRACTOR_KINDS)}."
        )
    if kind not in DISTRACTOR_KINDS:
        raise ValueError(
            f"Unknown kind of distractor {kind!r}, pass one of {list(DISTRACTOR_KINDS)}."
            f"{did_you_mean(kind, DISTRACTOR_KINDS)}"
        )
    process = DISTRACTOR_KINDS[kind]
    accepted = list(inspect.signature(process).parameters)
    for name in parameters:
        if name not in accepted:
            raise TypeError(
                f"Distractors of kind {kind!r} have no parameter {name!r}, theirs are "
                f"{accepted}.{did_you_mean(name, accepted)} What is meant for the environment "
                "itself goes through env_kwargs of make_noisy."
            )
    return process(**parameters)
