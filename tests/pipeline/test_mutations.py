"""Whatever stands in params.yaml or in a data file: a run with the file's values, or one line that says what to fix and
leaves the outputs as they were.
"""

import os
import re
from copy import deepcopy
from pathlib import Path

import pandas as pd
import pytest
from commands import contents, read
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from local_data import run_data
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from tiny import ROOT, reviews

from classifier.errors import InputError
from classifier.files.formats import read_table
from classifier.files.places import RAW
from classifier.runner.messages import message_of
from classifier.runner.params import STAGES, argument_paths, arguments, load_params, section_model, stage_function

ROUNDS = int(os.environ.get("ROUNDS", "60"))
within = settings(
    max_examples=ROUNDS,
    deadline=None,
    derandomize="ROUNDS" not in os.environ,  # the same examples in every `make test`, others in every soak
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
GOOD = (ROOT / "params.yaml").read_bytes()
TRAIN_LINE = 1 + GOOD.partition(b"\ntrain:")[0].count(b"\n") + 1
VALUES = YAML(typ="safe").load(GOOD)

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["imdb", "lora", "1e-3", "~", "head+tail", "../x", "0x1F", "2026-13-45"]),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=4,
)


def paths(node, path=()):
    yield path
    for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
        yield from paths(node[key], (*path, key))


PATHS = [path for path in paths(VALUES) if path]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty folder, the current one, for a params.yaml."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def line_of(error: InputError) -> str:
    """The line that a stage ends with (classifier/runner/messages.py); it must be short, and written for a reader."""
    line = " ".join(message_of(error).split())
    assert 20 < len(line) < 1000, line
    for internal in ("Traceback", "Error(", "pydantic", "<class", "object at 0x"):
        assert internal not in line
    return line


def outcome(content: bytes | None = None) -> str | None:
    """Load ./params.yaml, once its content, if given, is written. A refusal: its line, after the file's name. None if
    the file is taken: then the stages must be given what the file says.
    """
    path = Path("params.yaml")
    if content is not None:
        path.write_bytes(content)
    try:
        params = load_params()
    except InputError as error:
        line = line_of(error)
        assert line.startswith("params.yaml: ")
        return line.removeprefix("params.yaml: ")
    try:
        check_taken(params, YAML(typ="safe").load(path))  # in C, which is ten times as fast
    except (YAMLError, AssertionError):  # which reads a few things in another way
        check_taken(params, YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8")))
    return None


def check_taken(params, values: dict) -> None:
    assert_same(values, params.model_dump())
    for name in STAGES:
        if section_model(stage := stage_function(name)):
            section = next(argument for argument, path in argument_paths(stage).items() if path == name)
            assert_same(values[name], arguments(stage, params)[section].model_dump())
    source = values["models"][values["model"]]["source"]
    assert_same(source, arguments(stage_function("base_model"), params)["source"].model_dump())


def assert_same(written, read, path: str = "") -> None:
    """All that is written has been read, unchanged; defaults may be added."""
    if isinstance(written, dict) and isinstance(read, dict):
        assert written.keys() <= read.keys(), path
        for key, value in written.items():
            assert_same(value, read[key], f"{path}.{key}")
    elif isinstance(read, dict) and "files" in read:  # the files of a split without conditions
        assert_same(written, read["files"], path)
    elif path.endswith(".labels") and isinstance(written, list):  # names may be written as numbers
        assert [str(name).strip() for name in written] == read, path
    else:  # a name in place of a list of one; not a number, which equals nothing
        assert written == read or [written] == read or repr(written) == repr(read), path


def place_of(line: str) -> str:
    """The key, or the line of the file, that a refusal names."""
    place, _, told = line.partition(": ")
    assert told, line
    return place


def speaks_of(place: str, path: tuple) -> bool:
    """Whether the key that a refusal names is related to the change at the path: the same key, one inside or beside it,
    or one that the change makes impossible.
    """
    if len(path) == 1:
        near = place.split(".")[0] in (path[0], f"{path[0]}s", "new")
    else:
        beside = ".".join(map(str, path[:-1]))
        near = place.startswith(beside) or beside.startswith(place)
    elsewhere = {
        "dataset": ("train.batch_size", "train.class_weights"),
        "datasets": ("dataset", "train.batch_size", "train.class_weights"),
        "models": ("model",),
        "methods": ("method",),
    }
    return near or place in elsewhere.get(path[0], ())


def test_the_shipped_params_file_is_taken(folder):
    assert outcome(GOOD) is None


@pytest.mark.parametrize(
    ("good", "other", "place"),
    [
        (b"\n  epochs:", b"\n  epoch:", "train.epoch"),
        (b"\nmethod: lora", b"\nmethod: lorra", "method"),
        (b"\n  batch_size: ", b"\n  batch_size: -", "train.batch_size"),
        (b"\ntrain:", b"\ntrain:\n\t", f"line {TRAIN_LINE + 1}"),
    ],
)
def test_a_refusal_names_the_place(folder, good, other, place):
    assert GOOD.count(good) == 1
    told = place_of(outcome(GOOD.replace(good, other)))
    assert told.startswith(place)
    assert told.startswith("line ") or speaks_of(told, tuple(place.split(".")))


@within
@given(path=st.sampled_from(PATHS), change=st.sampled_from(["set", "drop", "rename", "add"]), value=anything)
@example(path=("train", "seed"), change="set", value=5)
@example(path=("model",), change="drop", value=None)
@example(path=("datasets", "imdb", "labels", 0), change="drop", value=None)
def test_a_changed_value_or_key(folder, path, change, value):
    values = deepcopy(VALUES)
    section = values
    for key in path[:-1]:
        section = section[key]
    if change == "set":
        section[path[-1]] = value
    elif change == "drop" or isinstance(section, list):
        del section[path[-1]]
    elif change == "rename":
        section[f"{path[-1]}s"] = section.pop(path[-1])
    else:
        section["new"] = value
    yaml = YAML(typ="safe")
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(values, file)
    if (refused := outcome()) is not None:
        assert speaks_of(place_of(refused), path), refused


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


@within
@given(content=spliced(GOOD))
@example(content=b"")
@example(content=b"[" * 2000)
@example(content=b"&a [*a]")
@example(content=b"? [a]\n: 1\n" + GOOD)
@example(content=GOOD + b"# a comment\n")
def test_a_damaged_params_file(folder, content):
    """A refusal names a line, a byte or a key."""
    if (refused := outcome(content)) is not None:
        if refused.startswith("not UTF-8 ("):
            assert re.search(r" at byte \d+\); ", refused)
        elif not refused.startswith(("line ", "not valid YAML: ", "the whole file: ")):
            key = place_of(refused).split(".")[0]
            assert key in VALUES or "unknown key" in refused or "keys should be strings" in refused, refused


FRAME = pd.DataFrame(reviews(60), columns=["text", "label"])
CSV = FRAME.to_csv(index=False).encode()
JSONL = FRAME.to_json(orient="records", lines=True).encode()
PARQUET = FRAME.to_parquet()
FILES = {"csv": CSV, "jsonl": JSONL, "parquet": PARQUET}


@within
@given(file=st.sampled_from(sorted(FILES)).flatmap(lambda suffix: st.tuples(st.just(suffix), spliced(FILES[suffix]))))
@example(file=("csv", CSV))
@example(file=("csv", CSV + CSV.partition(b"\n")[2].upper()))  # each text twice
@example(file=("csv", b""))
@example(file=("csv", CSV.replace(b"label", b"lable", 1)))
@example(file=("csv", b"text,label\n" + b"good,0\n" * 60))
@example(file=("jsonl", b"[]"))
@example(file=("jsonl", b'{"text": {"a": 1}, "label": [0]}\n' * 60))
@example(file=("parquet", b"PAR1"))
def test_a_damaged_data_file(project, file):
    """A refusal names the file, or the size that does not fit it, and changes nothing; else the splits are whole."""
    suffix, content = file
    path = Path(f"data/local/reviews.{suffix}")
    path.write_bytes(content)
    before = contents(project)
    try:
        run_data(**local_arguments(suffix))
    except InputError as error:
        line = line_of(error)
        assert line.startswith((f"{path}: ", "params.yaml: ")), line
        assert contents(project) == before
        return
    splits = {name: read_table(RAW / f"{name}.parquet")[0] for name in ("train", "validation", "test")}
    counts = read("metrics/data.json")
    assert {name: len(split) for name, split in splits.items()} == {name: counts[name] for name in splits}
    assert counts["validation"] == counts["test"] == 10
    rows = pd.concat(splits.values())
    assert list(rows) == ["text", "label"]
    assert set(rows["label"]) == {0, 1}
    texts = rows["text"].map(lambda text: " ".join(text.casefold().split()))  # of which no two are equal
    assert texts.is_unique
    assert all(texts)
    assert 20 < len(rows) <= len(FRAME) + 12  # a splice can add a few rows, of few letters


def local_arguments(suffix: str) -> dict:
    params = load_params(ROOT / "params.yaml")
    entry = {
        "source": {"train": f"reviews.{suffix}"},
        "labels": ["negative", "positive"],
        "train": None,
        "validation": 10,
        "test": 10,
    }
    return {"dataset": type(params.datasets["imdb"]).model_validate(entry), "seed": 1}
