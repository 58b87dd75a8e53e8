"""The encoders of the tests of a whole network."""

import pytest
from encoders import DECODERS, FAMILIES, write_encoder

from classifier.model.loading import silence_libraries


@pytest.fixture(params=FAMILIES + DECODERS)
def family(request, tmp_path, monkeypatch) -> str:
    """Return the name of a family, with its tiny encoder in models/base/ of the current folder."""
    monkeypatch.chdir(tmp_path)
    silence_libraries()
    write_encoder(request.param)
    return request.param
