"""The line that a stage prints about an error, and the errors that keep their traceback."""

import errno
from typing import Annotated

import pytest
import torch
from tiny import edit_params

from classifier.errors import InputError
from classifier.params.settings import Param
from classifier.runner.messages import message_of
from classifier.runner.run import run
from stages.data import DataSettings, data


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (InputError("params.yaml: seed: fix it"), "params.yaml: seed: fix it"),
        (KeyboardInterrupt(), "interrupted; `dvc repro` continues, and training resumes from its last checkpoint"),
        (MemoryError(), "out of memory; in params.yaml lower train.micro_batch_size (train), baseline.max_rows"),
        (torch.OutOfMemoryError("CUDA out of memory"), "out of memory; in params.yaml lower"),
        (RuntimeError("MPS backend out of memory (MPS allocated: 8 GiB)"), "out of memory; in params.yaml lower"),
        (RuntimeError("CUDA error: out of memory"), "out of memory; in params.yaml lower"),
        (ValueError("ran out of memory tests"), None),
        (OSError(errno.ENOSPC, "", "a/b"), "a/b: No space left on device; make room, then `dvc repro`"),
        (OSError(errno.EROFS, "", "a/b"), "a/b: Read-only file system; make it writable, then `dvc repro`"),
        (PermissionError(errno.EACCES, "", "a/b"), "a/b: Permission denied; make it readable and writable, then"),
        (OSError(errno.ENOSPC, "", "a", None, "b"), "a -> b: No space left on device; make room, then `dvc repro`"),
        (OSError(errno.EACCES, "Failed to open 'a'"), "[Errno 13] Failed to open 'a'; make it readable and writable"),
        (RuntimeError("I/O error: (os error 28)\nat a"), "I/O error: (os error 28) at a; make room, then `dvc repro`"),
        (ZeroDivisionError(), None),  # a defect of the code, which ends in a traceback
        (OSError(errno.ECONNRESET, ""), None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_message_of(error, message):
    line = message_of(error)
    assert line is None if message is None else line.startswith(message)


def test_debug_shows_the_traceback(project, monkeypatch):
    edit_params(project, model="none")
    monkeypatch.setenv("DEBUG", "1")
    with pytest.raises(InputError, match="no entry 'none'"):
        run(data)


def test_a_defect_keeps_its_traceback(project):
    def data(*, settings: Annotated[DataSettings, Param("data")]):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(data)
