"""Texts and labels in the report: shown as they are, or not at all."""

import re
from pathlib import Path

import pandas as pd
from commands import read, run_stages
from exports import card_of
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it.common.utils import escapeHtml
from report_page import MARKDOWN, report_again, rows
from tiny import edit_params
from transformers import AutoConfig

from classifier.evaluation.markdown import Markdown, verbatim
from classifier.files.formats import read_table, write_csv, write_json, write_table
from classifier.files.places import ADAPTER, DOUBTFUL, PREDICTIONS
from classifier.runner.params import load_params


# Letters, characters that have a meaning in Markdown or HTML, and white space of all kinds, which becomes spaces.
@given(st.text(st.sampled_from("ab1ß好 \n\t\\`*_{}[]()<>#+-.!|~$&;:/@=\"'")))
@example("![x](https://example.org/x.png) [a](b) <https://example.org> https://example.org www.example.org")
@example("**a** _b_ __c__ a_b ~~c~~ ``d`` <script>e</script> <!-- f --> &amp; &#42; $5_or_$6")
@example("# a\n\n- b\n\n    c\n---\n| d | e \\| f \\\\| g \\")
def test_any_text_is_shown_verbatim(text):
    table = f"| text | n |\n|---|---|\n| {verbatim(text)} | 1 |\n"
    *_, shown, number = [token for token in MARKDOWN.parse(table) if token.type == "inline"]
    for inline in (shown, *MARKDOWN.parseInline(f"as {verbatim(text)} or")):
        assert {token.type for token in inline.children} <= {"text"}
    assert "".join(token.content for token in shown.children).split() == text.split()
    assert number.content == "1"
    assert verbatim(Markdown(text)) == text


def test_without_report_texts_no_text_reaches_git(finished):
    """Then no file in metrics/ has a text of the data set or of infer.texts, or a word that decided a label."""
    edit_params(finished, **{"report.texts": False, "report.doubtful": 50, "report.mistakes": 50})
    shown = "\n".join(path.read_text() for path in Path("metrics").glob("*.*") if path.suffix != ".png")
    raw = pd.concat([pd.read_parquet(path) for path in Path("data/raw").iterdir()])["text"]
    assert any(text in shown for text in raw)
    assert "fantastic" in shown
    predictions, metadata = read_table(PREDICTIONS)
    predictions["predicted"], predictions["decided_by"] = 1 - predictions["label"], "wonderful +1.2"
    PREDICTIONS.unlink()
    write_table(PREDICTIONS, predictions, **metadata)
    DOUBTFUL.unlink()
    row = {"hash": "0" * 32, "label": "negative", "predicted": "positive", "probability": 0.1, "text": raw.iloc[0]}
    write_csv(DOUBTFUL, pd.DataFrame([row]))
    run_stages("infer", "report")
    files = [path for path in Path("metrics").rglob("*") if path.suffix != ".png"]
    assert {path.suffix for path in files} == {".json", ".csv", ".md"}
    shown = "\n".join(path.read_text() for path in files)
    assert [text for text in raw if text in shown] == []
    assert [sample.text for sample in load_params().infer.texts if sample.text[:30] in shown] == []
    assert "wonderful" not in shown
    table = rows(MARKDOWN.render(Path("metrics/report.md").read_text()))
    most_confident = predictions["confidence"].nlargest(1).index[0] + 1
    assert [str(most_confident), "negative", "positive"] in [row[:3] for row in table] or [
        str(most_confident), "positive", "negative",
    ] in [row[:3] for row in table]  # fmt: skip
    assert ["0" * 32, "negative", "positive", "10.0%"] in table
    assert [row[:2] for row in table if row[0] == "1"]


def test_labels_and_texts_are_shown_verbatim(finished):
    labels, text = ["a|b", "![x](https://example.org/x.png) `*c*`"], f"![x](https://example.org/{'好' * 200}"
    predictions, _ = read_table(PREDICTIONS)
    PREDICTIONS.unlink()  # a link into DVC's cache
    predicted = 1 - predictions["label"]
    table = predictions.assign(text=text, predicted=predicted)
    write_table(PREDICTIONS, table, task="single-label", labels=labels)
    names = dict(zip(["negative", "positive"], labels, strict=True))
    data = {
        re.sub("negative|positive", lambda name: names[name[0]], key): value
        for key, value in read("metrics/data.json").items()
    }
    write_json(Path("metrics/data.json"), data)
    write_csv(Path("metrics/confusion.csv"), pd.read_csv("metrics/confusion.csv").replace(names))
    DOUBTFUL.unlink()
    row = {"hash": "0" * 32, "label": labels[0], "predicted": labels[1], "probability": 0.1, "text": text}
    write_csv(DOUBTFUL, pd.DataFrame([row]))
    evaluation = read("metrics/evaluate.json")
    by_label = {names[name]: row for name, row in evaluation["labels"].items()}
    write_json(Path("metrics/evaluate.json"), evaluation | {"labels": by_label})
    html = report_again()
    table, shown = rows(html), [escapeHtml(label) for label in labels]
    assert html.count("<img") == 5  # the pictures
    assert all(len([row for row in table if row[0] == label and len(row) == 4]) == 1 for label in shown)
    assert ["actual \\ predicted", *shown] in table
    assert {row[0] for row in table} >= {*shown, f"precision, {shown[1]}"}
    (mistake, *_) = (row for row in table if row[0].startswith("![x](https://example.org/好"))
    assert mistake[0] == f"{text[:159]}…"
    assert set(mistake[1:3]) == set(shown)
    assert any(row[0] == mistake[0] and row[-1] == "10.0%" and set(row[1:3]) == set(shown) for row in table)  # doubtful
    assert [row[0] for row in table if len(row) == 10][1:] == shown  # metrics by label
    config = AutoConfig.from_pretrained(ADAPTER, id2label=dict(enumerate(labels)))
    card = MARKDOWN.render(card_of(config, read("metrics/evaluate.json"), read("metrics/data.json")))
    assert f"A classifier of texts as {shown[0]} or {shown[1]}: " in card
