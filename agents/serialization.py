"""Configurations as JSON: plain, complete, and reloadable."""

from dataclasses import fields, is_dataclass
from typing import Any

from .. import hypergradient, linear_solvers, relevance
from . import config

NAMESPACES = (config, hypergradient, linear_solvers, relevance)
"""Where the classes that a configuration may hold are defined."""


def encode(value: Any) -> Any:
    """A dataclass as a dictionary with its class's name, a tuple as a list, all else as it is."""
    if is_dataclass(value):
        encoded = {f.name: encode(getattr(value, f.name)) for f in fields(value)}
        return {"class": type(value).__name__, **encoded}
    return list(value) if isinstance(value, tuple) else value


def decode(value: Any) -> Any:
    """The inverse of `encode`.

    Raises:
        ValueError: if a class is not known.
    """
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, dict):
        return value
    name = value["class"]
    for namespace in NAMESPACES:
        found = getattr(namespace, str(name), None)
        if isinstance(found, type) and is_dataclass(found):
            return found(**{k: decode(v) for k, v in value.items() if k != "class"})
    raise ValueError(f"The configuration names a class {name!r} that this version does not have.")
