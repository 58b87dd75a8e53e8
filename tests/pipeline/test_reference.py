"""docs/reference/: each page against the files, the code and the entries that it describes."""

import ast
import dataclasses
import inspect
import json
import pkgutil
import re
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import run_stages
from ruamel.yaml import YAML
from tiny import ROOT, edit_params

from classifier.dataset.corrections import apply_corrections
from classifier.dataset.deduplication import deduplicate
from classifier.evaluation.findings import LEFT_OUT, LEFT_OUT_BY_GROUP
from classifier.files.formats import read_table, write_table
from classifier.files.places import BASELINE, DOUBTFUL, METRICS, PREDICTIONS, RAW, VALIDATION
from classifier.predict.explanation import Explanation
from classifier.scoring.job import Job
from docs.tools import reference
from stages.evaluate import EvaluateSettings, evaluate

PAGES = {path.stem: path.read_text() for path in (ROOT / "docs/reference").glob("*.md")}
JSON_FILES = ["data", "baseline", "training", "evaluate", "samples"]  # and export.json
CSV_FILES = sorted(path.name for path in (ROOT / METRICS).glob("*.csv"))
LABEL = re.compile(r"(?<=[._])(negative|positive)(?=[.]|$)")
SLICE = re.compile(r"^(slices|slices_left_out)[.](length|site)(?=[.])")
VALUE = re.compile(r"^(slices[.]SLICE)[.](.*)(?=[.])")


@pytest.mark.parametrize("name", ["params", "commands"])
def test_a_generated_page_is_current(name):
    assert PAGES[name] == getattr(reference, f"{name}_page")(), "stale: run `python -m docs.tools.reference`"


def test_every_variable_is_listed():
    """Those of the environment that the code reads, and those of the Makefile."""
    paths = [
        path for folder in ("classifier", "stages", "apps", "benchmarks") for path in (ROOT / folder).rglob("*.py")
    ]
    code = "".join(path.read_text() for path in paths)
    read = re.findall(r'environ(?:\.\w+)?[\[(]"(\w+)"|"(\w+)" (?:not )?in os\.environ', code)
    used = re.findall(r"\$\(([A-Z]+)\)|^([A-Z]+) \?=", (ROOT / "Makefile").read_text(), re.MULTILINE)
    names = {name for pair in (*read, *used) for name in pair if name}
    assert {"DEVICE", "LAUNCH", "REVS"} <= names
    not_for_users = {"PATH", "NO_PROXY", "no_proxy", "CURDIR", "ENV"}
    assert [name for name in sorted(names - not_for_users) if f"`{name}`" not in PAGES["commands"]] == []


def tables(text: str) -> list[list[dict[str, str]]]:
    """Return the rows of each table, by the names of the columns."""
    found = []
    for lines in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        header, _, *rows = [re.split(r" *(?<!\\)\| *", line)[1:-1] for line in lines.splitlines()]
        found.append([dict(zip(header, row, strict=True)) for row in rows])
    return found


def table_of(heading: str) -> list[dict[str, str]]:
    """Return the first table below a heading of the page of metrics."""
    return tables(PAGES["metrics"].partition(f"\n## {heading}\n")[2])[0]


def listed(heading: str) -> dict[str, str]:
    """Return key -> when it is present, in the order of the page: always, if ..., or unless ..."""
    rows = table_of(heading)
    keys = {
        key: row.get("present", "always") for row in rows for key in re.findall("`(.*?)`", next(iter(row.values())))
    }
    assert {present.split()[0] for present in keys.values()} <= {"always", "if", "unless"}
    return keys


def keys_of(path: Path) -> set[str]:
    """Return the dotted keys of a JSON file, with LABEL, SLICE and VALUE in place of names."""
    keys = {SLICE.sub(r"\1.SLICE", key) for key in pd.json_normalize(json.loads(path.read_text())).columns}
    return {VALUE.sub(r"\1.VALUE", LABEL.sub("LABEL", key)) for key in keys}


@pytest.mark.parametrize("name", JSON_FILES)
def test_keys_of_metrics(name, finished_once):
    keys = listed(f"metrics/{name}.json")
    always = {key for key, present in keys.items() if present == "always"}
    for project in (ROOT, finished_once):
        assert always <= keys_of(project / METRICS / f"{name}.json") <= set(keys)


def test_keys_of_data_in_other_situations():
    """With splits of the source's own, `conflicts: drop`, corrections, groups, and rows that the entry leaves out."""
    rows = pd.DataFrame({"label": [0, 1], "words": 1, "high": np.uint64(0), "low": np.arange(2, dtype=np.uint64)})
    counts = deduplicate(dict.fromkeys(("train", "validation", "test"), rows), "drop", [])[1]
    counts |= apply_corrections(rows, pd.DataFrame({"new": [1], "dropped": [False], "correction": [0]}))[1]
    counts |= dict.fromkeys(["groups", *LEFT_OUT, *LEFT_OUT_BY_GROUP], 0)  # as the report names them
    keys = listed("metrics/data.json")
    assert {key for key, present in keys.items() if present.startswith("if")} == counts.keys() - {
        key for key, present in keys.items() if present == "always"
    }


def test_keys_of_other_metrics_in_other_situations(finished):
    """A source with a test split and slices, the baseline learns nothing, no threshold is found, texts are hidden."""
    raw, metadata = read_table(RAW / "test.parquet")
    raw = raw.assign(in_train=np.arange(len(raw)) < 30, site=["web"] * 35 + ["book"] * 35 + ["rare"] * 10)
    write_table(RAW / "test.parquet", raw, **metadata | {"slices": ["site"]})
    edit_params(finished, **{"baseline.min_count": 1000, "report.texts": False})
    run_stages("baseline", "infer")
    recipe = {"bins": 15, "target_accuracy": 0.99, "target_level": 0.05, "set_target": 0.99}
    settings = EvaluateSettings(**recipe, explained=0, precision="bf16")
    evaluate(settings=settings)
    for name in ("baseline", "samples", "evaluate"):
        expected = {key for key, present in listed(f"metrics/{name}.json").items() if not present.startswith("unless")}
        assert keys_of(METRICS / f"{name}.json") == expected
    columns = ["SLICE" if name == "site" else name for name in columns_of(PREDICTIONS)]
    assert columns == [name for name in listed("data/predictions.parquet") if name != "text_pair"]


def test_keys_of_the_export(finished):
    """Of a form with rounded weights that is kept, of one that is not kept, and of a form in fp32."""
    keys = listed("metrics/export.json")
    assert {present.split(" FORM")[0] for present in keys.values()} == {"if `export.formats` names", "if"}
    without_test = {key for key in keys if not key.startswith("FORM.test.")}
    cases = [(1.0, ["bf16", "transformers"], [{*keys}, without_test]), (0.0, ["bf16"], [without_test])]
    for tolerance, formats, expected in cases:
        edit_params(finished, **{"export.formats": formats, "export.tolerance": tolerance})
        run_stages("export")
        results = json.loads((METRICS / "export.json").read_text())
        found = [{f"FORM.{key}" for key in pd.json_normalize(result).columns} for result in results.values()]
        assert (list(results), found) == (formats, expected)


def columns_of(path: Path) -> list[str]:
    """Return the columns of a table, with one column for all probabilities."""
    table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    return list(dict.fromkeys(LABEL.sub("LABEL", name) for name in table.columns))


@pytest.mark.parametrize("name", CSV_FILES)
def test_columns_of_metrics(name):
    assert [*listed(f"metrics/{name}")] == columns_of(ROOT / METRICS / name)


def test_columns_of_tables(finished_once, monkeypatch):
    for path in (PREDICTIONS, DOUBTFUL, VALIDATION):
        columns = listed(path.as_posix())
        assert [name for name, present in columns.items() if present == "always"] == columns_of(finished_once / path)
    monkeypatch.chdir(finished_once)
    assert [name for name, present in listed("scored.parquet").items() if present == "always"] == [*Job(Path()).added]
    assert columns_of(finished_once / BASELINE) == ["predicted"]  # not on the page: the report has all that it says


def test_every_result_is_listed():
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"].values()
    paths = [
        path for stage in stages for kind in ("outs", "metrics", "plots") for path in map(str, stage.get(kind, []))
    ]
    names = {name for path in paths for name in re.findall(r"metrics/[\w.]+", path)}
    assert len(names) > 15
    assert [name for name in sorted(names) if name not in PAGES["metrics"]] == []


BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGES["python"], re.MULTILINE | re.DOTALL)
SIGNATURES = [
    found for block in BLOCKS for found in re.findall(r"(?s)^(?:class|def) (classifier\.[\w.]+)(\(.*)", block)
]


@pytest.mark.parametrize(("name", "signature"), SIGNATURES, ids=[name for name, _ in SIGNATURES])
def test_signatures_are_those_of_the_code(name, signature):
    assert signature_of(f"def f{signature.strip()}: pass") == signature_in_code(pkgutil.resolve_name(name))


def signature_of(source: str) -> str:
    """Return arguments and result of the function that a source defines, without self and cls."""
    function = ast.parse(textwrap.dedent(source)).body[0]
    function.args.args = [argument for argument in function.args.args if argument.arg not in ("self", "cls")]
    return f"({ast.unparse(function.args)}) -> {function.returns and ast.unparse(function.returns)}"


def signature_in_code(value) -> str:
    if dataclasses.is_dataclass(value):
        body = ast.parse(inspect.getsource(value)).body[0].body
        fields = [ast.unparse(node) for node in body if isinstance(node, ast.AnnAssign)]
        return signature_of(f"def f({', '.join(fields)}): pass")
    return signature_of(inspect.getsource(value.__init__ if inspect.isclass(value) else value))


def test_attributes_of_an_explanation_are_listed():
    part = PAGES["python"].partition("### Explanation\n")[2].partition("\n## ")[0]
    names = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", part, re.MULTILINE)))
    properties = [name for name, value in vars(Explanation).items() if isinstance(value, property)]
    assert names == [*(field.name for field in dataclasses.fields(Explanation)), *properties]


def test_examples_run(finished, capsys):
    one, column, why = [block for block in BLOCKS if not block.startswith(("class ", "def "))]
    names = {}
    exec(one, names)
    assert names["label"] in ("negative", "positive")
    assert names["answers"][1:] == [(None, None)] * 2
    exec(column, names)
    assert names["table"]["predicted"].isin(["negative", "positive", "uncertain"]).all()
    assert names["table"]["confidence"].between(0.5, 1).all()
    exec(why, names)
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(names["explanation"].marked) > 1


def test_compatibility_has_every_entry_and_known_words():
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    rows = [row for rows in tables(PAGES["compatibility"]) for row in rows]
    named = {word for row in rows for word in re.findall(r"[\w-]+", next(iter(row.values())))}
    for kind in ("datasets", "models", "methods"):
        assert set(params[kind]) <= named
    words = [row["status"].split()[0] for row in rows if "status" in row]
    assert len(words) > 50
    assert set(words) == {"measured", "tested", "expected", "refused"}
