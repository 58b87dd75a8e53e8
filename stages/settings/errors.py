"""What a user can put right."""


class InputError(Exception):
    """A user's mistake or a missing input. The message is one line: what, where, and how to fix it."""


def out_of_memory(error: BaseException) -> bool:
    """Whether Python, or torch on a GPU (an error of its own) or a CPU (a plain RuntimeError), ran out of memory."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )
