"""Errors that a user can fix."""


class InputError(Exception):
    """A user's mistake or a missing input. The message is one line: what is wrong, where, and how to fix it."""


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory ran out, on a GPU or a CPU.

    Python raises MemoryError. torch raises RuntimeErrors, which only their texts distinguish from other errors.
    """
    message = str(error) if isinstance(error, RuntimeError) else ""
    return isinstance(error, MemoryError) or "out of memory" in message or "can't allocate memory" in message
