"""What counts as a number where one is asked for: Python's or NumPy's, but no flag."""

import numbers
from typing import Any


def is_whole(value: Any) -> bool:
    """Whether it is a whole number."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_count(value: Any) -> bool:
    """Whether it is a whole number from one up."""
    return is_whole(value) and value >= 1


def is_real(value: Any) -> bool:
    """Whether it is a real number; infinity and NaN are among them."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
