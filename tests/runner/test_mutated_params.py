"""Whatever stands in params.yaml: a run with its values, or one line that names the place and says what to fix."""

import re
from copy import deepcopy
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mutations import line_of, spliced, within
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from tiny import ROOT

from classifier.errors import InputError
from classifier.runner.params import STAGES, argument_paths, arguments, load_params, section_model, stage_function

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
