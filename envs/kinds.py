"""The kinds of distractor by name."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from ..suggestion import check_choice, did_you_mean
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
    return process_of(kind, parameters)


def process_of(
    kind: str | DistractorProcess[Any], parameters: Mapping[str, Any], besides: Iterable[str] = ()
) -> DistractorProcess[Any]:
    """Return the process of a kind, for a caller that takes arguments of its own beside the kind's.

    Args:
        kind: as for `make_process`.
        parameters: the kind's own parameters.
        besides: what else might have been meant by a parameter that the kind does not have.

    Returns:
        The process.

    Raises:
        TypeError: as `make_process`.
        ValueError: as `make_process`.
    """
    if isinstance(kind, DistractorProcess):
        if parameters:
            raise TypeError(
                f"{kind} was given together with {sorted(parameters)}: set these parameters where "
                "the process is made."
                f"{''.join(did_you_mean(name, besides) for name in sorted(parameters))}"
            )
        return kind
    if not isinstance(kind, str):
        raise TypeError(
            f"kind must be a name or a DistractorProcess, got {kind!r}: "
            f"pass one of {list(DISTRACTOR_KINDS)}."
        )
    check_choice("kind of distractor", kind, DISTRACTOR_KINDS)
    process = DISTRACTOR_KINDS[kind]
    accepted = list(inspect.signature(process).parameters)
    for name in parameters:
        if name not in accepted:
            raise TypeError(
                f"Distractors of kind {kind!r} have no parameter {name!r}, theirs are "
                f"{accepted}.{did_you_mean(name, [*accepted, *besides])} What is meant for the "
                "environment itself goes through env_kwargs of make_noisy or of a registered id."
            )
    return process(**parameters)
