"""What a user can put right."""


class InputError(Exception):
    """A user's mistake or a missing input. The message is one line: what, where, and how to fix it."""


def out_of_memory(error: BaseException) -> bool:
    """Whether Python, or torch on a GPU or a CPU (RuntimeErrors of several kinds), ran out of memory."""
    said = str(error) if isinstance(error, RuntimeError) else ""
    return isinstance(error, MemoryError) or "out of memory" in said or "can't allocate memory" in said
