"""`make serving` on the tiny project: the load test, and the requests of which some are faulty."""

import os
from importlib.util import find_spec

import pytest
from markdown_tables import rows_of
from tiny import ROOT

from benchmarks import serving, serving_faults


@pytest.mark.usefixtures("finished", "matrix_rate")
def test_faulty_requests(capsys):
    serving_faults.main(count=100)
    *kinds, total = rows_of(capsys.readouterr().out)
    assert [kind[0] for kind in kinds] == [*serving_faults.KINDS]
    assert all(number == right != "0" for _, number, right, *_ in kinds)
    assert total[:3] == ["all", "100", "100"]
    assert [0 < float(memory) < 5000 for memory in total[3:]] == [True, True]


@pytest.mark.scale
@pytest.mark.usefixtures("finished", "matrix_rate")
def test_a_wrong_answer_is_noticed(monkeypatch):
    named = serving_faults.named_parts
    monkeypatch.setattr(serving_faults, "named_parts", lambda *args: named(*args) | {"label": "other"})
    with pytest.raises(SystemExit, match=r"serving_faults: \d+ requests had a wrong outcome"):
        serving_faults.main(count=40)


@pytest.mark.scale
@pytest.mark.skipif(find_spec("locust") is None, reason="make test-scale installs it")  # its import changes the process
@pytest.mark.usefixtures("finished", "matrix_rate")
def test_load(capfd, site, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{site}{os.pathsep}{ROOT}")  # the tiny project has no benchmarks/
    serving.main(seconds=2, clients="1 3")
    rows = rows_of(capfd.readouterr().out)
    assert [row[0] for row in rows] == ["1", "3"]
    for row in rows:
        ours, fast, theirs, *milliseconds, ratio, fast_ratio = (float(cell.replace(",", "")) for cell in row[1:])
        assert ratio == pytest.approx(ours / theirs, rel=0.02)
        assert fast_ratio == pytest.approx(fast / theirs, rel=0.02)
        assert min(milliseconds) >= 1


def test_answers_agree_but_for_their_last_digits():
    known = {"label": "good", "confidence": 0.9}
    assert serving_faults.agrees({"label": "good", "confidence": 0.9002}, known)
    assert not serving_faults.agrees({"label": "bad", "confidence": 0.9}, known)
    assert not serving_faults.agrees({"label": "good", "confidence": 0.8}, known)
    assert not serving_faults.agrees({"label": "good"}, known)
    assert not serving_faults.agrees([known], [known, known])
