"""Whatever stands in params.yaml or in a data file: a run that starts, or one line that says what to fix."""

import os
from copy import deepcopy
from pathlib import Path

import pandas as pd
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from tiny import ROOT, reviews

from stages.data import data
from stages.settings.errors import InputError
from stages.settings.params import arguments, load_params, stage_function

ROUNDS = int(os.environ.get("ROUNDS", "60"))
within = settings(
    max_examples=ROUNDS,
    deadline=None,
    derandomize="ROUNDS" not in os.environ,  # the same examples in every `make test`, others in every soak
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
GOOD = (ROOT / "params.yaml").read_bytes()
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


def outcome(path: Path) -> None:
    """Load; a refusal must be a line that names the file and more."""
    refused = None
    try:
        params = load_params(path)
    except InputError as error:
        refused = str(error)
    if refused:
        assert refused.startswith((f"{path}: ", "params.yaml: "))
    else:
        for stage in ("data", "train"):
            assert arguments(stage_function(stage), params)


@within
@given(path=st.sampled_from(PATHS), change=st.sampled_from(["set", "drop", "rename", "add"]), value=anything)
def test_a_changed_value_or_key(tmp_path, path, change, value):
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
    with (tmp_path / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(values, file)
    outcome(tmp_path / "params.yaml")


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
def test_a_damaged_params_file(tmp_path, content):
    (tmp_path / "params.yaml").write_bytes(content)
    outcome(tmp_path / "params.yaml")


FRAME = pd.DataFrame(reviews(60), columns=["text", "label"])
CSV = FRAME.to_csv(index=False).encode()
JSONL = FRAME.to_json(orient="records", lines=True).encode()
PARQUET = FRAME.to_parquet()
FILES = {"csv": CSV, "jsonl": JSONL, "parquet": PARQUET}


@within
@given(file=st.sampled_from(sorted(FILES)).flatmap(lambda suffix: st.tuples(st.just(suffix), spliced(FILES[suffix]))))
@example(file=("csv", b""))
@example(file=("csv", CSV.replace(b"label", b"lable", 1)))
@example(file=("csv", b"text,label\n" + b"good,0\n" * 60))
@example(file=("jsonl", b"[]"))
@example(file=("jsonl", b'{"text": {"a": 1}, "label": [0]}\n' * 60))
@example(file=("parquet", b"PAR1"))
def test_a_damaged_data_file(project, file):
    suffix, content = file
    Path(f"data/local/reviews.{suffix}").write_bytes(content)
    refused = None
    try:
        data(**local_arguments(suffix))
    except InputError as error:
        refused = str(error)
    if refused:
        assert f"reviews.{suffix}" in refused or "params.yaml" in refused
    else:
        rows = [len(pd.read_parquet(f"data/raw/{name}.parquet")) for name in ("train", "validation", "test")]
        assert all(rows)


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
