"""Files that an interruption may cut: written whole or not at all, and read as far as they are."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, whose file takes the place of this one when all is written.

    Who reads meanwhile, or after an interruption, finds the old file. Of several processes that
    write at a time each writes a file of its own, and the last to end decides. A link stays one.
    """
    whole = path.resolve()
    part = whole.with_name(f"{whole.name}.{os.getpid()}.part")
    try:
        yield part
        if whole.exists():
            shutil.copymode(whole, part)
        with part.open("r+b") as file:
            os.fsync(file.fileno())  # or a power cut could leave an empty file in its place
        part.replace(whole)
    finally:
        part.unlink(missing_ok=True)


def whole_lines(path: Path) -> list[str]:
    """The lines of a text, without what an interruption has left of a last one."""
    with path.open(newline="") as file:
        return [line for line in file if line.endswith("\n")]
