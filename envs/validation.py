"""Checks of arguments: each failure is one sentence that names the fix."""

from typing import Any

import numpy as np

from ..arguments import is_real, is_whole


def check_count(name: str, value: Any) -> None:
    """Refuse what is not a non-negative integer.

    Raises:
        TypeError: if `value` is not an integer.
        ValueError: if it is negative.
    """
    if not is_whole(value):
        raise TypeError(
            f"{name} must be an integer, got {value!r}: pass a whole number such as 16."
        )
    if value < 0:
        raise ValueError(f"{name} must not be negative, got {value}: pass 0 or more.")


def check_flag(name: str, value: Any) -> None:
    """Refuse what is not True or False.

    Raises:
        TypeError: if `value` is neither.
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be a bool, got {value!r}: pass True or False.")


def check_real(name: str, value: Any) -> None:
    """Refuse what is not a real number.

    Raises:
        TypeError: if `value` is not a real number.
    """
    if not is_real(value):
        raise TypeError(f"{name} must be a number, got {value!r}: pass a float.")


def check_non_negative(name: str, value: Any) -> None:
    """Refuse what is not a finite, non-negative number.

    Raises:
        TypeError: if `value` is not a real number.
        ValueError: if it is negative, infinite or not a number.
    """
    check_real(name, value)
    if not 0 <= value < np.inf:
        raise ValueError(f"{name} must be finite and not negative, got {value}: pass 0 or more.")
