"""What a user can put right."""


class InputError(Exception):
    """A user's mistake or a missing input. The message is one line: what, where, and how to fix it."""
