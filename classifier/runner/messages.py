"""Errors that a user can put right, in a line."""

import errno
import os
import re

from classifier.errors import InputError, out_of_memory


def message_of(error: BaseException) -> str | None:
    """What the user can do about an error, in one line; None for what is a defect of the code."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; `dvc repro` goes on, and a training from where it was"
    if out_of_memory(error):
        return (
            "out of memory; in params.yaml lower train.micro_batch_size (train), baseline.max_rows (baseline) or "
            "tokenize.max_length (tokenize, train, evaluate)"
        )
    told = re.search(r"\(os error (\d+)\)", str(error))  # safetensors raises an error of its own
    number = int(told[1]) if told else getattr(error, "errno", None)
    fix = {
        errno.ENOSPC: "make room",
        errno.EDQUOT: "make room",
        errno.EROFS: "make it writable",
        errno.EACCES: "make it readable and writable",
    }.get(number)
    return fix and f"{getattr(error, 'filename', None) or 'disk'}: {os.strerror(number)}; {fix}, then `dvc repro`"
