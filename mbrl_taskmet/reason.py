"""What went wrong, fit to stand in a sentence of one's own."""


def reason(error: BaseException) -> str:
    """The error's message on one line and without its full stop; its type if it has none."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def with_type(error: BaseException) -> str:
    """The error's type and message, as at the end of a traceback."""
    return f"{type(error).__name__}: {error}"
