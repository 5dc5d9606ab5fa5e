"""Checks of options that several commands have: each failure is one sentence."""

from collections.abc import Sequence

import torch


def spelled(name: str) -> str:
    """An option as it is typed."""
    return f"--{name.replace('_', '-')}"


def check_positive(**options: int | None) -> None:
    """Refuse numbers below one; None was not given.

    Raises:
        ValueError: naming the option.
    """
    for name, value in options.items():
        if value is not None and value < 1:
            raise ValueError(f"{spelled(name)} must be positive.")


def check_seeds(seeds: Sequence[int]) -> None:
    """Refuse no seeds, and seeds that are negative or twice the same.

    Raises:
        ValueError: if they are.
    """
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise ValueError("--seeds must be one or more different numbers from 0 up.")


def check_device(device: str) -> None:
    """Refuse a device that cannot hold a number and compute with it here.

    Raises:
        ValueError: if it cannot, or torch does not know it.
    """
    try:
        torch.device(device)
    except RuntimeError:
        raise ValueError(
            f"--device must be one that torch knows, such as cpu or cuda; got {device!r}."
        ) from None
    try:
        computed = (torch.ones(1, device=device) + 1).item()
    except Exception:  # each kind of device is missing in a way of its own
        computed = None
    if computed != 2:
        raise ValueError(f"There is no device {device} to compute with: choose cpu.")
