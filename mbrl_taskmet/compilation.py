"""Compiling a pure function of tensors into one graph, and doing without where that fails."""

import os
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch

Compile = Literal["auto", True, False]
"""Whether to compile: as asked, or (`"auto"`) where it can be done and pays."""

PAYS_AFTER = 20_000
"""Calls after which a compilation has repaid its time: for TaskMet it takes some 45 seconds with
that of the inner levels, and saves one to eight milliseconds a call."""

CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
"""Of the environment, naming the folder where torch keeps what it has compiled."""


def should_compile(compile: Compile, calls: int) -> bool:
    """Whether to compile a function that will be called so many times."""
    if compile == "auto":
        return calls >= PAYS_AFTER and has_compiler()
    if compile and not has_compiler():
        warnings.warn(
            "There is no C++ compiler, so nothing is compiled: install g++, name yours in the "
            "environment variable CXX, or pass compile=False to silence this.",
            stacklevel=2,
        )
        return False
    return compile


def has_compiler() -> bool:
    """Whether the C++ compiler is at hand that `torch.compile` takes on a processor."""
    default = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    return shutil.which(os.environ.get("CXX", default)) is not None


class CompiledFunction:
    """A function that is compiled into one graph when it is first called.

    Tensors of other shapes, strides, types or devices get a graph of their own, and so do those of
    which others are the same, since a graph reads each once. The result is cached on
    disk, so that the next process starts within a few seconds. Where the compilation fails, one
    warning says why, and the function runs as it is. A copy or a pickle has no graphs yet.

    Args:
        function: of tensors and named tuples of them, without decisions that depend on values. It
            depends on nothing else that may change, such as torch's default type.
        announce: called just before a compilation, which may take a minute.
    """

    def __init__(self, function: Callable[..., Any], announce: Callable[[], None]) -> None:
        self._function = function
        self._announce = announce
        self._compiled: dict[tuple[Any, ...], Callable[..., Any]] = {}

    def __call__(self, *arguments: Any) -> Any:
        """The function's value."""
        described: list[Any] = [torch.is_grad_enabled()]
        _describe(arguments, described, {})
        signature = tuple(described)
        if signature not in self._compiled:
            return self._first_call(signature, *arguments)
        return self._compiled[signature](*arguments)

    def __getstate__(self) -> dict[str, Any]:
        """Without the graphs, which belong to this process."""
        return vars(self) | {"_compiled": {}}

    def _first_call(self, signature: tuple[Any, ...], *arguments: Any) -> Any:
        self._announce()
        compiled: Callable[..., Any]
        try:
            compiled = _compile(self._function)
            result = compiled(*arguments)
        except Exception as error:  # whatever a compiler may raise
            warnings.warn(
                f"Compiling failed ({_telling_line(error)}); going on without, two to five times "
                f"slower. Delete {_cache()} if it is damaged, or pass "
                "compile=False to silence this.",
                stacklevel=3,
            )
            compiled, result = self._function, self._function(*arguments)
        self._compiled[signature] = compiled
        return result


def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, to be compiled at its first call."""
    # Here, since the compiler takes a second to import.
    from mbrl_taskmet.common_terms import ShareCommonTerms

    _keep_graphs()
    compiled: Callable[..., Any] = torch.compile(  # type: ignore[call-overload]  # its stubs lag behind
        function,
        fullgraph=True,
        dynamic=False,
        # Each agent in a process has its own graph of the same code, without limit.
        isolate_recompiles=True,
        options={
            # A wrapper in C++ instead of Python halves the time between kernels.
            "cpp_wrapper": True,
            # The one pattern it finds makes a product and its bias one call, which first copies
            # the bias into every row; apart, the bias joins the loop that follows.
            "pattern_matcher": False,
            "post_grad_custom_pre_pass": ShareCommonTerms(),
            # Our own signature of arguments stands for torch's guards, which take a tenth of a
            # millisecond: the function depends on nothing else.
            "guard_filter_fn": torch.compiler.skip_all_guards_unsafe,
        },
    )
    return compiled


def _keep_graphs() -> None:
    """Have graphs cached where they outlive a restart, unless the user chose another folder.

    Torch's own choice is a temporary folder, which it writes into the environment when parts of it
    are first imported. It stays where the user's caches cannot be written.
    """
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    if _cache() != default_cache_dir():
        return
    try:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = caches / "mbrl_taskmet" / "inductor"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # the latter for a user without a home
        return
    if os.access(folder, os.W_OK):
        os.environ[CACHE_VARIABLE] = str(folder)


def _cache() -> str:
    """The folder where torch keeps what it compiles now."""
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    return os.environ.get(CACHE_VARIABLE) or default_cache_dir()


def _telling_line(error: Exception) -> str:
    """The line of a compiler's long message that says what went wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line]
    statements = [line for line in lines if not line.endswith(":")]
    return next(iter(errors or statements or lines), type(error).__name__)


def _describe(arguments: Any, into: list[Any], seen: dict[int, int]) -> None:
    """What a graph takes for granted of tensors in nested tuples, and all else as it is.

    Into a list, since this runs before every call, and a generator takes four times longer.

    Args:
        arguments: the tuple.
        into: where the description goes.
        seen: of tensors met before, by their identity the place of the first.
    """
    into.append(len(arguments))
    for argument in arguments:
        if isinstance(argument, torch.Tensor):
            into += (
                argument.shape,
                argument.stride(),
                argument.dtype,
                argument.device,
                argument.requires_grad,
                seen.setdefault(id(argument), len(into)),
            )
        elif isinstance(argument, tuple):
            _describe(argument, into, seen)
        else:
            into += (type(argument), argument)
