"""What is said of an unknown name: which are known, and which of them is near."""

import difflib
from collections.abc import Collection, Iterable, Sequence
from typing import Any


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'nearest'?", or nothing if no known name is near."""
    nearest = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""


def check_choice(what: str, choice: Any, available: Collection[Any]) -> None:
    """Refuse what is not there.

    Args:
        what: is chosen.
        choice: one of them.
        available: all of them.

    Raises:
        ValueError: naming what there is.
    """
    if choice not in available:
        names = list(map(str, available))
        raise ValueError(
            f"There is no {what} {choice!r}: choose one of {', '.join(names)}."
            f"{did_you_mean(str(choice), names)}"
        )


def check_choices(what: str, chosen: Sequence[Any], available: Collection[Any]) -> None:
    """Refuse to choose nothing, or what is not there.

    Args:
        what: is chosen, in the singular.
        chosen: some of them.
        available: all of them.

    Raises:
        ValueError: naming what there is.
    """
    if not chosen:
        raise ValueError(
            f"No {what} is chosen: choose at least one of {', '.join(map(str, available))}."
        )
    for choice in chosen:
        check_choice(what, choice, available)
