"""Change files at random with Hypothesis, and check the line that refuses a changed file."""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from classifier.errors import InputError
from classifier.runner.messages import message_of

ROUNDS = int(os.environ.get("ROUNDS", "40"))
within = settings(
    max_examples=ROUNDS,
    deadline=None,
    derandomize="ROUNDS" not in os.environ,  # the same examples in every `make test`, others in every soak
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def line_of(error: InputError) -> str:
    """The line that a stage ends with (classifier/runner/messages.py); it must be short, and written for a reader."""
    line = " ".join(message_of(error).split())
    assert 20 < len(line) < 1000, line
    for internal in ("Traceback", "Error(", "pydantic", "<class", "object at 0x"):
        assert internal not in line
    return line


def spliced(good: bytes):
    """The file with a few bytes put in place of some others."""
    return st.builds(
        lambda start, length, new: good[:start] + new + good[start + length :],
        st.integers(0, len(good)),
        st.integers(0, 12),
        st.binary(max_size=4)
        | st.sampled_from(
            [b"\n", b"\t", b": ", b"- ", b"'", b'"', b",", b"{", b"&a ", b"*a", b"!!int ", b"\xff", b"\0"]
        ),
    )
