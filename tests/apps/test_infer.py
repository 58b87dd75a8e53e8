"""`python -m apps.infer`: texts, standard input, files, and mistakes on the command line."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import INFER, infer_command, predict, read
from datasets import Dataset
from forking import run_module

from apps import infer
from apps.infer import show_table
from classifier.errors import InputError
from classifier.predict.classifier import Classifier
from classifier.predict.threshold import threshold_for
from classifier.scoring.lines import arriving_lines


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


def test_pipe_is_utf_8_whatever_the_terminal_is(finished):
    text, latin = "good film, für immer", {**os.environ, "PYTHONIOENCODING": "ascii"}
    piped = subprocess.run([*INFER, "-"], input=b"\xef\xbb\xbf" + text.encode(), env=latin, capture_output=True)
    assert json.loads(piped.stdout.decode())["text"] == text


def test_table_on_a_terminal_that_lacks_a_letter(monkeypatch):
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, "ascii"))
    show_table(["für immer"], lambda texts: [("positive", 0.5)], explain=False)
    sys.stdout.flush()
    assert shown.getvalue().endswith(b"positive       50.0%  f\\xfcr immer\n")


def test_pipe_answers_each_line_at_once(finished):
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
    """This holds for texts, standard input and files. `target` is the threshold that evaluate chose; it needs
    neither data/ nor metrics/.
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
    threshold = read("metrics/evaluate.json")["above_threshold"]["threshold"]
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


def test_a_confidence_that_cannot_be(finished):
    for wanted in ("2", "-1", "half", "nan", "", "0_1", "1.2.3"):
        refused = infer_command("good", f"--min-confidence={wanted}", ok=False)
        assert refused == f"infer: --min-confidence {wanted}: should be a number from 0 to 1, or target\n"
    for wanted in ("2", "-1", "nan", "0", "1"):
        refused = infer_command("good", f"--min-accuracy={wanted}", ok=False)
        assert refused == f"infer: min_accuracy: {float(wanted)}: a number between 0 and 1 is needed\n"
    both = ("--min-accuracy", "0.7", "--min-confidence", "0.7")
    assert "give only one of them" in infer_command("good", *both, ok=False)
    problem = "infer: the validation rows show no confidence that gives an accuracy of 99.0%: "
    refused = infer_command("good", "--min-accuracy", "0.99", ok=False)
    assert refused.startswith(problem)
    assert "(at least 368 are needed)" in refused
    for wanted in (90, True, "0.9", None, -0.1):
        with pytest.raises(InputError, match=r"min_confidence: .*: a number from 0 to 1 is needed"):
            predict(["good"], wanted)
    assert predict("a good film", np.float32(0.1)) == predict("a good film", np.int64(0))
    refused = infer_command("--min-confidence", "", ok=False)
    assert "give either texts" in refused
    validation = Path("models/adapter/validation.parquet")
    validation.unlink()
    validation.write_text("no")
    assert "bring it back with `dvc checkout --force" in infer_command("good", "--min-accuracy", "0.8", ok=False)
    validation.unlink()
    problem = "models/adapter/validation.parquet: not found"
    assert problem in infer_command("good", "--min-confidence", "target", ok=False)
    config = read("models/adapter/config.json")
    labels = {"id2label": {"0": "uncertain", "1": "positive"}, "label2id": {"uncertain": 0, "positive": 1}}
    Path("models/adapter/config.json").write_text(json.dumps(config | labels))
    assert "a label 'uncertain' of its own" in infer_command("good", "--min-confidence", "0.9", ok=False)


def test_blank_texts_have_no_label(finished):
    (scored, *blank) = predict(["good film", "", " \t", None])
    assert scored == predict(["good film"])[0]
    assert blank == [(None, None)] * 3
    rows = infer_command("good film", " ").splitlines()[1:]
    assert rows[1].split() == ["-", "-"]
    assert rows[0].startswith(scored[0])


def test_what_a_column_of_texts_may_be(finished):
    """Any iterable of texts will do, also one of pandas, NumPy, Arrow or datasets. A missing text has no label."""
    texts = ["a good film", "boring and too long"]
    expected = predict(texts)
    alone = predict(texts[:1])[0]  # in a batch the last digits differ
    assert predict(texts[0]) == predict(np.str_(texts[0])) == alone
    frame = pd.DataFrame({"text": texts})
    for given in (
        tuple(texts),
        iter(texts),
        (text for text in texts),
        dict.fromkeys(texts).keys(),
        np.array(texts),
        np.array(texts, dtype=object),
        frame["text"],
        frame["text"].astype("string"),
        frame["text"].astype("category"),
        frame["text"].astype(pd.ArrowDtype(pa.string())),
        pd.Index(texts),
        pa.array(texts),
        pa.chunked_array([texts[:1], texts[1:]]),
        pa.array(texts).dictionary_encode(),
        np.ma.array(texts, mask=[False, False]),
        Dataset.from_pandas(frame)["text"],
    ):
        assert predict(given) == expected, type(given)
    classifier = Classifier()
    for missing in (None, float("nan"), np.nan, pd.NA, pd.NaT, pa.scalar(None, pa.string())):
        assert classifier([missing, texts[0]]) == [(None, None), alone]
    assert classifier(pa.array([None, texts[0]])) == [(None, None), alone]
    assert classifier(pd.Series([texts[0], None], dtype="string")) == [alone, (None, None)]
    assert classifier(np.ma.array(["", texts[0]], mask=[True, False])) == [(None, None), alone]
    assert classifier([]) == classifier(pd.Series([], dtype=str)) == []


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (["good", 5], "text 2 of 2: 5 is not a text"),
        ([b"good"], "text 1 of 1: b'good' is not a text"),
        ([["good", "bad"]], r"text 1 of 1: \['good', 'bad'\] is not a text"),
        ([True], "text 1 of 1: True is not a text"),
        ([pd.Series(["good"])], "^text 1 of 1: 0 good dtype: .* is not a text; give a string$"),
        ([{"text": "good"}], "text 1 of 1: .* is not a text"),
        (["good", "half \ud83d"], r"text 2 of 2: 'half \\ud83d': half of a character"),
        (np.array([1.0, 2.0]), "text 1 of 2: .*1.0.* is not a text"),
        (np.array([["good"], ["bad"]]), "a list or column of texts, is needed, not ndarray"),
        (pd.DataFrame({"text": ["good"]}), "is needed, not DataFrame"),
        ({"text": "good"}, "is needed, not dict"),
        (b"good", "is needed, not bytes"),
        (5, "is needed, not int"),
        (None, "is needed, not NoneType"),
    ],
)
def test_what_is_no_text(finished, given, problem):
    with pytest.raises(InputError, match=problem):
        predict(given)


@pytest.mark.parametrize("text", ["<br />", "\u200b", "\ufeff \u2060", "\x07", "<p></p>&"[:7], "\u00ad"])
def test_a_text_that_shows_nothing_has_no_label(finished, text):
    assert predict([text, "a good film"]) == [(None, None), predict("a good film")]
    piped = json.loads(infer_command("-", stdin=f"{text}\n".encode()))
    assert (piped["label"], piped["confidence"]) == (None, None)


def test_a_text_that_the_tokenizer_cannot_read_has_no_label(finished):
    """BERT's tokenizer drops the replacement character and leaves special tokens only, like a text that names them."""
    for text in ("\ufffd\ufffd", "[SEP]", "[CLS] [PAD]"):
        assert predict([text, "a good film"]) == [(None, None), predict("a good film")]
    assert predict("[UNK]")[0] == predict("emoji")[0] is not None  # unknown words are words


def test_a_quote_that_swallows_rows_of_a_file_is_refused(finished):
    """Such rows are recognized if the file has a column of labels."""
    Path("a.csv").write_text('text,label\ngood,positive\n"bad,negative\nfun,positive\ngreat",positive\nend,negative\n')
    refused = infer_command("--file", "a.csv", ok=False)
    assert refused.startswith("infer: a.csv: line 3: the quoted field that begins here holds 3 whole rows of the table")
    Path("a.csv").write_text('text,more\ngood,x\n"bad,y\nfun,z\ngreat",positive\nend,w\n')
    infer_command("--file", "a.csv")
    assert len(pd.read_parquet("scored.parquet")) == 3


def test_an_adapter_of_an_older_version_is_refused_in_a_line(finished):
    path = Path("models/adapter/config.json")
    path.write_text(json.dumps({name: value for name, value in read(path).items() if name != "trained"}))
    Path("a.csv").write_text("text\ngood\n")
    told = "infer: models/adapter: made by an older version of the code; train it again with `dvc repro train`\n"
    assert infer_command("--file", "a.csv", ok=False) == told


def test_labels_of_the_names_that_transformers_gives_by_itself(finished):
    """transformers leaves such names out of config.json."""
    path = Path("models/adapter/config.json")
    config = {name: value for name, value in read(path).items() if name not in ("id2label", "label2id")}
    path.write_text(json.dumps(config))
    Path("a.csv").write_text("text\ngood film\n")
    infer_command("--file", "a.csv")
    assert pd.read_parquet("scored.parquet")["predicted"].tolist() == [predict("good film")[0]] == ["LABEL_1"]


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


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "none.csv: no such file"),
        ("a.txt", "good", "a.txt: cannot read .txt files; save the table as .csv, .jsonl, .parquet"),
        (
            "a.csv",
            "review\ngood\n",
            "a.csv: no column 'text'; the texts are read from text, and the file has review",
        ),
        ("a.csv", "text\n", "a.csv: has no rows"),
        ("a.csv", "text,text\na,b\n", "a.csv: line 1: several columns are named 'text'; rename all but one"),
        ("a.csv", "text,predicted\na,b\n", "a.csv: has a column 'predicted' already; rename it"),
        ("a.csv", "id,text\n1,a\n2,b,c\n", "a.csv: line 3: 3 field(s), but 2 in the header; complete the row"),
        ("a.csv", b"text\ngood\ng\xff\n", "a.csv: line 3, byte 2: not UTF-8"),
        ("a.csv", b"text,caf\xe9\ngood,1\n", "a.csv: line 1, byte 9: not UTF-8"),
        ("a.jsonl", '{"text": 1}\n', "a.jsonl: column 'text' holds int64, not text"),
        ("a.jsonl", '{"text": "a"}\n{"text"\n', "a.jsonl: line 2, character 8: not JSON"),
        ("a.jsonl", '{"text": "a", "n": 1}\n{"n": "b"}\n', "a.jsonl: lines 1 to 2: Could not convert 'b'"),
        ("a.jsonl", b'{"text": "g\xff"}\n', "a.jsonl: line 1, byte 12: not UTF-8"),
        ("a.jsonl", '{"text": "a", "meta": {}}\n', "a.jsonl: Cannot write struct type 'meta' with no child field"),
        ("a.parquet", "no", "a.parquet: not a valid Parquet file: "),
    ],
)
def test_mistakes(finished, name, content, message):
    if content is not None:
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    refused = infer_command("--file", name, "--out", "out.parquet", ok=False)
    assert message in refused
    assert "params.yaml" not in refused
    assert sorted(Path().glob("*out.parquet*")) == []


def test_out_of_memory_is_one_line(finished, monkeypatch):
    def full(*args):
        raise RuntimeError("MPS backend out of memory (MPS allocated: 8 GiB)")

    monkeypatch.setattr(Classifier, "__call__", full)
    with pytest.raises(SystemExit, match=r"^infer: out of memory; if a GPU's memory is full, set DEVICE=cpu"):
        infer.main(["a good film"])


def test_more_mistakes(finished):
    assert "give either texts" in infer_command("good", "--file", "a.csv", ok=False)
    assert "give either texts" in infer_command("--out", "a.parquet", ok=False)
    assert "--column, --separator, --out and --overwrite: give" in infer_command("good", "--column", "text", ok=False)
    texts = pa.array([b"g\xff"]).view(pa.string())
    pq.write_table(pa.table({"text": texts}), "a.parquet")
    assert "Invalid UTF8" in infer_command("--file", "a.parquet", "--out", "out.parquet", ok=False)
    assert "out.csv: must end in .parquet" in infer_command("--file", "a.csv", "--out", "out.csv", ok=False)
    Path("folder.parquet").mkdir()
    refused = infer_command("--file", "a.parquet", "--out", "folder.parquet", "--overwrite", ok=False)
    assert refused == "infer: folder.parquet: is a folder; give another --out\n"
    status, printed, error = run_module("apps.infer", ["-"], b"good\ng\xff\n")
    assert status == 1
    assert json.loads(printed)["text"] == "good"  # the line before
    assert "line 2: not UTF-8" in error
    weights = Path("models/base/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")  # of the same shapes
    assert "models/adapter: was trained on another models/base; bring both back with `dvc checkout" in infer_command(
        "good film", ok=False
    )
    shutil.rmtree("models/adapter")
    assert "dvc checkout models/adapter" in infer_command("good film", ok=False)
    Path("a.csv").write_text("text\ngood\n")
    assert "dvc checkout models/adapter" in infer_command("--file", "a.csv", ok=False)
    assert list(Path().glob(".scored*")) == []
