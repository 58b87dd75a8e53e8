"""`python -m apps.infer`: texts, standard input, files, and uncertain answers."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pandas as pd
import pytest
from commands import INFER, infer_command, predict, read

from classifier.files.formats import read_table, write_table
from classifier.files.places import VALIDATION
from classifier.predict import explanation
from classifier.predict.threshold import threshold_for
from classifier.scoring.answer_table import show_table
from classifier.scoring.lines import arriving_lines
from classifier.tasks import ordinal, single_label


def test_texts(finished):
    texts = ["a great film , i loved it", "boring and too long"]
    answers = predict(texts)
    header, *rows = infer_command(*texts).splitlines()
    assert header.split() == ["label", "confidence", "text"]
    for row, text, (label, confidence) in zip(rows, texts, answers, strict=True):
        assert row.split(maxsplit=2) == [label, f"{confidence:.1%}", text]
    samples = read("metrics/samples.json")
    assert [(sample["label"], sample["confidence"]) for sample in samples] == [
        (label, round(confidence, 4)) for label, confidence in predict([sample["text"] for sample in samples])
    ]
    # Neither the order nor the batch of a text changes its answer, and the evaluation used the same model.
    table = pd.read_parquet("data/predictions.parquet").sample(frac=1, random_state=0)
    labels = ["negative", "positive"]
    for row, (label, confidence) in zip(table.itertuples(), predict(table["text"].tolist()), strict=True):
        assert label == labels[row.predicted]
        assert confidence == pytest.approx(row.confidence, abs=1e-5)


def test_pipe_is_utf_8_whatever_the_terminal_is(finished, forked_commands):
    text, latin = "good film, für immer", {**os.environ, "PYTHONIOENCODING": "ascii"}
    piped = subprocess.run([*INFER, "-"], input=b"\xef\xbb\xbf" + text.encode(), env=latin, capture_output=True)
    assert json.loads(piped.stdout.decode())["text"] == text


class AlwaysPositive:
    """A classifier with one answer."""

    parts = single_label.ANSWER

    def __call__(self, texts: list[str]) -> list[tuple[str, float]]:
        return [("positive", 0.5)] * len(texts)


def test_table_on_a_terminal_that_lacks_a_letter(monkeypatch):
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, "ascii"))
    show_table(["für immer"], AlwaysPositive(), explain=False, explained=None)
    sys.stdout.flush()
    assert shown.getvalue().endswith(b"positive       50.0%  f\\xfcr immer\n")


class UnsureOfRatings:
    """A classifier that is unsure of a rating, and has no answer to a blank text."""

    parts = ordinal.ANSWER
    model = tokenizer = None

    def __call__(self, texts: list[str]) -> list[tuple[None, float | None, float | None]]:
        return [(None, 0.55, 1.5) if text else (None, None, None) for text in texts]


def test_an_uncertain_rating_is_explained(monkeypatch, capsys):
    monkeypatch.setattr(explanation, "explain_label", lambda *args: Mock(text="[unsure +1.2] text"))
    show_table(["unsure text", ""], UnsureOfRatings(), explain=True, explained=None)
    assert capsys.readouterr().out.count("[unsure +1.2] text") == 1


def test_control_characters_do_not_reach_the_terminal(finished):
    """They are escaped in the table, in explanations, in JSON and in errors. JSON decodes to the exact text."""
    red, overridden = "good \x1b[31mfilm\x85", "bad \u202efilm\x7f"
    _, first, second = infer_command(red, overridden).split("\n")[:3]
    assert first.endswith(r"good \u001b[31mfilm\u0085")
    assert second.endswith(r"bad \u202efilm\u007f")
    explained = infer_command("--explain", red, overridden)
    assert all(line.isprintable() for line in explained.split("\n"))
    assert r"\u001b" in explained
    piped = infer_command("-", stdin=f"{red}\n{overridden}\n".encode())
    assert all(line.isprintable() for line in piped.split("\n"))
    assert [json.loads(line)["text"] for line in piped.splitlines()] == [red, overridden]
    Path("a.csv").write_text("te\x9bxt\ngood\n")
    assert r"the file has te\u009bxt" in infer_command("--file", "a.csv", ok=False)


def test_the_name_of_a_file_is_no_text(finished):
    Path("reviews.csv").write_text("text\ngood\n")
    refused = infer_command("good film", "reviews.csv", ok=False)
    fix = "its rows are scored with --file reviews.csv; to score the name itself, pass it on standard input"
    assert refused == f"infer: reviews.csv is a file; {fix}\n"
    assert json.loads(infer_command("-", stdin=b"reviews.csv\n"))["text"] == "reviews.csv"
    assert infer_command("data", "x" * 5000, "a\nb").count("\n") == 4  # a folder's name may be a word


def test_pipe_answers_each_line_at_once(finished, forked_commands):
    with subprocess.Popen([*INFER, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for text in ("good film", "", "bad film"):
            process.stdin.write(text + "\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())  # while the pipe is still open
            assert answer["text"] == text
            if text:
                ((label, confidence),) = predict([text])
                assert (answer["label"], answer["confidence"]) == (label, round(confidence, 4))
            else:
                assert answer["label"] is answer["confidence"] is None
        process.stdin.close()
        assert process.wait() == 0


def test_lines_however_they_arrive():
    class Pieces(io.BytesIO):
        def read1(self, size):
            return super().read1(3)

    text = "a\nlonger line\r\n\n\nthe last, für immer"
    lines = [line for batch in arriving_lines(Pieces(text.encode())) for line in batch]
    assert lines == text.replace("\r", "").split("\n")
    assert [line for batch in arriving_lines(Pieces(b"ends\n")) for line in batch] == ["ends"]


def test_below_a_confidence_the_answer_is_uncertain(finished):
    """This holds for texts, standard input and files. `target` is the threshold for params.yaml's target; it needs
    neither data/ nor metrics/. All answers are made wrong whose confidence is below the middle.
    """
    table = pd.read_parquet("data/predictions.parquet")
    texts = [table["text"][table["confidence"].idxmax()], table["text"][table["confidence"].idxmin()]]
    (sure, high), (_, low) = predict(texts)
    middle = f"{(high + low) / 2:.3f}"
    assert predict(texts, float(middle)) == [(sure, high), ("uncertain", low)]
    rows = infer_command("--min-confidence", middle, *texts).splitlines()[1:]
    assert [row.split()[:2] for row in rows] == [[sure, f"{high:.1%}"], ["uncertain", f"{low:.1%}"]]
    piped = infer_command("--min-confidence", middle, "-", stdin="\n".join(texts).encode()).splitlines()
    assert [json.loads(line)["label"] for line in piped] == [sure, "uncertain"]
    assert read("metrics/evaluate.json")["above_threshold"]["threshold"] == threshold_for(0.7, 0.05)
    validation, metadata = read_table(VALIDATION)
    write_table(VALIDATION, validation.assign(unseen_right=validation["unseen_confidence"] > float(middle)), **metadata)
    threshold = threshold_for(0.7, 0.05)
    shutil.rmtree("metrics")
    shutil.rmtree("data")
    table[["text"]].to_csv("a.csv", index=False)
    infer_command("--file", "a.csv", "--min-confidence", "target")
    scored = pd.read_parquet("scored.parquet")
    assert ((scored["predicted"] == "uncertain") == (table["confidence"] < threshold)).all()
    assert 0 < (scored["predicted"] == "uncertain").sum() < len(table)
    needed = threshold_for(0.65, 0.05)  # given on the command line, not in params.yaml
    infer_command("--file", "a.csv", "--min-accuracy", "0.65", "--overwrite")
    scored = pd.read_parquet("scored.parquet")
    assert ((scored["predicted"] == "uncertain") == (table["confidence"] < needed)).all()
    assert [label == "uncertain" for label, _ in predict(texts, min_accuracy=0.65)] == [False, low < needed]


def test_a_file_is_read_as_the_training_was(finished):
    """The columns and the separator come from models/adapter. A file without the columns is refused."""
    path = Path("models/adapter/config.json")
    config = read(path)
    assert (config["columns"], config["separator"]) == (["text"], "\n")
    path.write_text(json.dumps(config | {"columns": ["title", "body"], "separator": " - "}))
    frame = pd.DataFrame({"title": ["good", "bad"], "body": ["a film", None], "text": ["dull", "great"]})
    frame.to_parquet("a.parquet")
    infer_command("--file", "a.parquet")
    scored = pd.read_parquet("scored.parquet")
    labels, confidences = zip(*predict(["good - a film", "bad"]), strict=True)
    assert scored["predicted"].tolist() == list(labels)
    assert scored["confidence"].tolist() == pytest.approx(confidences, abs=1e-6)
    infer_command("--file", "a.parquet", "--separator", "", "--out", "joined.parquet")
    assert pd.read_parquet("joined.parquet")["confidence"][0] == pytest.approx(predict("gooda film")[1])
    infer_command("--file", "a.parquet", "--column", "text", "--overwrite")
    assert pd.read_parquet("scored.parquet")["predicted"].tolist() == [label for label, _ in predict(frame["text"])]
    frame.assign(body=None).to_json("a.jsonl", orient="records", lines=True)  # one column is missing in all rows
    infer_command("--file", "a.jsonl", "--overwrite")
    assert pd.read_parquet("scored.parquet")["predicted"].tolist() == [label for label, _ in predict(["good", "bad"])]
    frame[["text"]].to_csv("a.csv", index=False)
    refused = infer_command("--file", "a.csv", "--out", "b.parquet", ok=False)
    problem = "a.csv: no column 'title'; the texts are read from title, body, and the file has text; name"
    assert refused.startswith(f"infer: {problem}")
    assert not Path("b.parquet").exists()


def test_texts_that_begin_with_a_dash(finished):
    text = "-5 stars, never again"
    refused = f"infer: {text!r}: no such option; see --help, or put -- before texts that begin with a dash\n"
    assert infer_command(text, ok=False) == refused
    assert "'--colum': no such option" in infer_command("--colum", "text", "good", ok=False)
    assert infer_command("--", text).splitlines()[1].endswith(f"  {text}")
    assert "'--explian': no such option" in infer_command("--explian", "--", text, ok=False)
    refused = "infer: 'g\\udcff': not UTF-8; set the terminal to UTF-8 or use --file\n"
    assert infer_command(b"g\xff", ok=False) == refused
