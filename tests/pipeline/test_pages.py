"""Numbers and tables on the pages: each comes from a file that a command wrote, and is current."""

import ast
import json
import re

import pandas as pd
import pytest
from tiny import ROOT

from classifier.errors import InputError
from classifier.files.formats import read_json
from docs.tools import pages
from docs.tools.pages import shown_number, up_to_date, value_at

PAGES = pages.pages()
names = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
# What a reader takes for a measurement: a number with decimals and a unit. Round numbers, such as 95%, are targets.
MEASURED = re.compile(r"\d\.\d+ ?(?:%|points\b|[GM]B\b|s\b|seconds\b|minutes\b|hours\b|times\b)")


def prose(text: str) -> str:
    """Return a page without code, links, comments and generated tables."""
    text = pages.BLOCK.sub("", text)
    for pattern in (r"```.*?```", r"`[^`]*`", r"!?\[[^\]]*\]\([^)]*\)", r"<!--.*?-->"):
        text = re.sub(pattern, "", text, flags=re.DOTALL)
    return text


@names
def test_pages_show_what_their_files_hold(page):
    assert page.read_text() == up_to_date(page), "run `make pages`"


@names
def test_no_page_names_a_commit(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    assert re.findall(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,8}\b", text) == []


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "docs/reference" not in str(page)], ids=lambda page: page.name
)
def test_measured_numbers_are_links(page):
    assert MEASURED.findall(prose(page.read_text())) == []


def test_answers_on_pages_are_those_of_the_model():
    samples = {sample["text"]: sample for sample in read_json(ROOT / "metrics/samples.json")}
    answers = [
        line for page in PAGES for line in re.findall(r"^(\w+) +([\d.]+%)  (\S.*)$", page.read_text(), re.MULTILINE)
    ]
    known = [answer for answer in answers if answer[2] in samples and answer[0] != "uncertain"]
    assert len(known) > 1
    for label, confidence, text in known:
        assert (label, confidence) == (samples[text]["label"], f"{samples[text]['confidence']:.1%}")


def test_answers_in_json_and_python_are_those_of_the_model():
    """The last digits of a confidence depend on the texts that are scored at the same time."""
    samples = {sample["text"]: sample for sample in read_json(ROOT / "metrics/samples.json")}
    serve, confidence = ((ROOT / f"docs/how-to/{name}.md").read_text() for name in ("serve", "confidence"))
    shown = []
    for request, response in re.findall(r"-d '(\{.*\})'\n```\n\n```json\n(\{\"(?:answers|label)\".*)\n", serve):
        texts, answers = json.loads(request), json.loads(response)
        shown += zip(texts.get("texts") or [texts["text"]], answers.get("answers", [answers]), strict=True)
    texts, answers = re.search(r"^classifier\((.*)\)\n# rounded: (.*)", confidence, re.MULTILINE).groups()
    named = [dict(zip(("label", "confidence"), answer, strict=True)) for answer in ast.literal_eval(answers)]
    shown += zip(json.loads(texts), named, strict=True)
    shown = [(samples[text], answer) for text, answer in shown if text]
    assert len(shown) == 5
    for sample, answer in shown:
        assert answer["confidence"] == pytest.approx(sample["confidence"], abs=2e-4)
        unsure = answer["label"] == "uncertain" and sample["confidence"] < 0.9
        assert unsure or answer["label"] == sample["label"]


def test_lines_of_a_run_on_pages_are_those_of_the_default():
    scores = pd.read_csv(ROOT / "metrics/validation.csv", index_col="step")["score"]
    tutorial, explain = (ROOT / f"docs/{name}.md" for name in ("tutorials/first-run", "how-to/explain"))
    steps = re.findall(r"^step (\d+): validation accuracy (.*)$", tutorial.read_text(), re.MULTILINE)
    assert steps == [(str(step), f"{score:.3f}") for step, score in scores.items()]
    (words,) = re.findall(r"^\| This video .* \| (\S+ [+-][\d.]+, .*) \|$", explain.read_text(), re.MULTILINE)
    assert words in (ROOT / "metrics/report.md").read_text()


@pytest.mark.parametrize(
    ("shown", "value", "expected"),
    [
        ("90.7%", 0.91284, "91.3%"),
        ("9 minutes", 372, "6 minutes"),
        ("0.19 GB", 2.75e9, "2.75 GB"),
        ("1,234", 98765.4, "98,765"),
        ("+2.6 points", 0.031, "+3.1 points"),
        ("+2.6 points", -0.031, "-3.1 points"),
        ("1.23", 1.557, "1.56"),
        ("bf16", "fp32", "fp32"),
    ],
)
def test_numbers_keep_their_form(shown, value, expected):
    assert shown_number(shown, value) == expected


def test_a_number_without_a_known_unit_is_refused():
    with pytest.raises(ValueError, match="'nine' is no number"):
        shown_number("nine", 9)


def test_values_are_found_in_json_and_csv(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"rows": [{"as fast": 1.5}], "a.b": {"c": 2}}))
    (tmp_path / "a.csv").write_text("labels,accuracy\n50,0.6\n100,0.7\n")
    assert value_at(tmp_path / "a.json", "rows.0.as fast") == 1.5
    assert value_at(tmp_path / "a.json", "a.b.c") == 2
    assert value_at(tmp_path / "a.csv", "1.accuracy") == 0.7
    with pytest.raises(KeyError, match="missing"):
        value_at(tmp_path / "a.json", "rows.0.missing")


def test_a_page_is_brought_up_to_date(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    result = {"columns": {"what": "", "s": ".1f"}, "rows": [{"what": "step", "s": 2.25}, {"what": "epoch", "s": 100}]}
    (tmp_path / "speed.json").write_text(json.dumps(result))
    page = tmp_path / "page.md"
    page.write_text('A step: [9.0 s](speed.json "rows.0.s").\n\n<!-- rows: speed.json -->\nold\n<!-- end -->\nEnd.\n')
    text = up_to_date(page)
    assert '[2.2 s](speed.json "rows.0.s")' in text
    assert "old" not in text
    assert re.search(r"\| step +\| +2\.2 \|\n\| epoch +\| +100\.0 \|\n\n<!-- end -->\nEnd\.", text)
    page.write_text(text)
    assert up_to_date(page) == text
    page.write_text('[1](speed.json "rows.7.s")')
    with pytest.raises(InputError, match=r"page\.md: IndexError"):
        up_to_date(page)
