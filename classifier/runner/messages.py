"""One-line messages for errors that a user can fix."""

import errno
import os
import re

from classifier.errors import InputError, out_of_memory
from classifier.runner.terminal import escape_controls

FIXES = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EROFS: "make it writable",
    errno.EACCES: "make it readable and writable",
}


def message_of(error: BaseException) -> str | None:
    """Return one line that says what is wrong and how to fix it, or None if the error is a bug and not the user's."""
    if isinstance(error, InputError):
        return escape_controls(" ".join(str(error).split()))
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; `dvc repro` continues, and training resumes from its last checkpoint"
    if out_of_memory(error):
        return (
            "out of memory; in params.yaml lower train.micro_batch_size (train), baseline.max_rows (baseline) or "
            "tokenize.max_length (tokenize, train, evaluate)"
        )
    problem = disk_problem(error)
    return problem and f"{problem}, then `dvc repro`"


def disk_problem(error: BaseException) -> str | None:
    """Return which file cannot be read or written, why, and how to fix it; None for an error of another kind.

    pyarrow and safetensors write the file's name into the error's text.
    """
    in_text = re.search(r"\(os error (\d+)\)", str(error))  # safetensors' own error class has the number in its text
    number = int(in_text[1]) if in_text else getattr(error, "errno", None)
    if number not in FIXES:
        return None
    names = [name for name in (getattr(error, "filename", None), getattr(error, "filename2", None)) if name]
    problem = f"{' -> '.join(map(str, names))}: {os.strerror(number)}" if names else " ".join(str(error).split())
    return f"{problem}; {FIXES[number]}"
