"""Pairs of texts, from the data set's entry to the exported model, on the tiny project."""

import contextlib
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from commands import infer_command, predict, read, refusal, run_stages
from conftest import made_once
from forking import run_module
from scipy.special import softmax
from tiny import edit_params, reviews

from classifier.errors import InputError
from classifier.export.forms import FORMS
from classifier.files.formats import read_table
from classifier.files.places import ADAPTER, BASE, DOUBTFUL, EXPORT, LOCAL, PREDICTIONS, RAW
from classifier.model.loading import load_classifier, trained_settings
from classifier.predict.classifier import Classifier
from classifier.predict.explanation import explain_label
from classifier.text.duplicates import text_hash
from classifier.text.pairs import texts_of
from classifier.text.tokens import open_tokens
from stages.data import data
from stages.tokenize import tokenize

ENTRY = {
    "source": {"train": "pairs.csv"},
    "text": ["premise", "hypothesis"],
    "pair": True,
    "labels": ["bad", "good"],
    "validation": 40,
    "test": 40,
}
PAIRS = [("the plot was long", "a good film"), ("a scene " * 30, "awful"), ("it was fun", "bad " * 40)]


def pairs(count: int) -> pd.DataFrame:
    """Make pairs, whose label is that of their second text."""
    firsts = [text for text, _ in reviews(count, seed=1)]
    seconds, labels = zip(*reviews(count, seed=2), strict=True)
    names = [("bad", "good")[label] for label in labels]
    return pd.DataFrame({"premise": firsts, "hypothesis": seconds, "label": names})


def write_pairs(rows: pd.DataFrame) -> None:
    LOCAL.mkdir(parents=True, exist_ok=True)
    rows.to_csv(LOCAL / "pairs.csv", index=False)


def select(project: Path, **changes) -> None:
    """Select the data set of pairs."""
    edit_params(project, **{"datasets.pairs": ENTRY | changes, "dataset": "pairs"})


@pytest.fixture(scope="module")
def trained_once(finished_once, tmp_path_factory) -> Path:
    """A project whose model was trained on pairs. The infer.texts of its params.yaml are single texts."""

    def train(folder: Path) -> None:
        project = folder / "project"
        shutil.copytree(finished_once, project, symlinks=True)
        with contextlib.chdir(project):
            write_pairs(pairs(240))
            select(project)
            edit_params(project, **{"export.formats": list(FORMS), "export.tolerance": 1.0})
            run_stages("data", "tokenize", "baseline", "train", "evaluate", "infer", "export", "report")

    return made_once(tmp_path_factory, "pairs", train) / "project"


@pytest.fixture
def trained(trained_once, tmp_path, monkeypatch) -> Path:
    """A copy of this project; the current folder."""
    shutil.copytree(trained_once, tmp_path / "project", symlinks=True)
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def scores_of_transformers(texts: list[tuple[str, str]]) -> np.ndarray:
    """Return the logits that transformers' own tokenizer and classifier give to pairs, one by one."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(EXPORT)
    model = AutoModelForSequenceClassification.from_pretrained(EXPORT).eval()
    inputs = [tokenizer(*text, truncation="longest_first", max_length=24, return_tensors="pt") for text in texts]
    assert all(1 in row["token_type_ids"] for row in inputs)
    with torch.inference_mode():
        return np.array([model(**row).logits[0].numpy() for row in inputs])


def test_the_whole_pipeline(trained):
    rows, metadata = read_table(RAW / "train.parquet")
    assert rows.columns.tolist() == ["text", "text_pair", "label"]
    assert metadata["pair"] is True
    assert metadata["columns"] == ["premise", "hypothesis"]
    source = {(row.premise, row.hypothesis): row.label for row in pairs(240).itertuples()}
    assert all(
        source[text] == ("bad", "good")[label] for text, label in zip(texts_of(rows), rows["label"], strict=True)
    )
    assert open_tokens("test").metadata["token_types_after"] == 3  # [SEP]
    assert (trained_settings()["pair"], trained_settings()["token_types_after"]) == (True, 3)
    predictions, _ = read_table(PREDICTIONS)
    assert [*predictions][:3] == ["text", "text_pair", "label"]
    assert predictions["confidence"].between(0.5, 1).all()
    if (mistakes := predictions[predictions["predicted"] != predictions["label"]]).size:
        assert (mistakes["decided_by"] != "").any()
    report = Path("metrics/report.md").read_text()
    assert "has single texts, but the model reads pairs of texts" in report
    words = read("metrics/data.json")["words_p100"]
    assert words == pairs(240)[["premise", "hypothesis"]].agg(" ".join, axis=1).str.split().str.len().max()


def test_corrections_of_pairs(trained):
    doubtful = pd.read_csv(DOUBTFUL)
    train, _ = read_table(RAW / "train.parquet")
    hashes = {text_hash(text): " | ".join(text) for text in texts_of(train)}
    assert [hashes[name] for name in doubtful["hash"]] == doubtful["text"].tolist()
    named = text_hash(texts_of(train)[0])
    (LOCAL / "corrections.csv").write_text(f"hash,label\n{named},drop\n")
    select(trained, corrections="corrections.csv")
    run_stages("data")
    assert read("metrics/data.json")["texts_dropped_by_hand"] == 1
    assert texts_of(read_table(RAW / "train.parquet")[0]) == texts_of(train)[1:]


def test_answers_are_those_of_transformers(trained):
    """For texts without windows: `head` cuts as transformers does, and the export has the calibrated weights."""
    classifier = Classifier()
    classifier.model.config.tokenize |= {"truncation": "head", "windows": 1}
    expected = softmax(scores_of_transformers(PAIRS).astype(np.float64), axis=1)
    np.testing.assert_allclose(classifier.probabilities(PAIRS), expected, atol=1e-5)
    assert classifier(PAIRS[0]) == classifier([PAIRS[0]])[0] == classifier([list(PAIRS[0])])[0]
    swapped = classifier.probabilities([pair[::-1] for pair in PAIRS])
    assert (abs(swapped - expected) > 1e-4).any()


def test_export_has_token_types(trained):
    import onnxruntime
    from transformers import AutoTokenizer, pipeline

    texts = [PAIRS[0], ("a movie", "i loved it"), ("boring plot and bad actor", "the film was great")]
    answers = predict(texts)
    classify = pipeline("text-classification", model=str(EXPORT))
    results = classify([{"text": first, "text_pair": second} for first, second in texts], truncation=True)
    assert [result["label"] for result in results] == [label for label, _ in answers]
    assert [result["score"] for result in results] == pytest.approx([share for _, share in answers], abs=1e-4)
    session = onnxruntime.InferenceSession(EXPORT / "onnx/model.onnx")
    assert [entry.name for entry in session.get_inputs()] == ["input_ids", "attention_mask", "token_type_ids"]
    tokenizer = AutoTokenizer.from_pretrained(EXPORT)
    inputs = tokenizer(*map(list, zip(*texts, strict=True)), padding=True, return_tensors="np")
    (scores,) = session.run(None, {name: values.astype(np.int64) for name, values in inputs.items()})
    shares = softmax(scores.astype(np.float64), axis=1).max(axis=1)
    assert shares.tolist() == pytest.approx([share for _, share in answers], abs=1e-4)
    card = (EXPORT / "README.md").read_text()
    assert '"text_pair": ' in card
    assert "`text` is the column premise, `text_pair` the column hypothesis" in card
    assert "`input_ids`, `attention_mask` and `token_type_ids`" in card


def test_the_gate_reads_token_types(trained):
    """Without them, the forms would not answer as the pipeline does."""
    results = read("metrics/export.json")
    assert list(results) == [*FORMS]
    for name in ("transformers", "onnx"):
        validation = results[name]["validation"]
        assert (validation["texts"], validation["answers_changed"], validation["log_loss_difference"]) == (40, 0, 0)
    assert 0 < abs(results["int8"]["test"]["log_loss_difference"]) < 0.1


def test_missing_texts_and_wrong_kinds_in_python(trained):
    classifier = Classifier()
    unread = [("good film", ""), (None, "good film"), ("<br>", "good"), None, ("good", "\ufffd"), math.nan, pd.NA]
    assert classifier(unread) == [(None, None)] * 7
    of_arrow = classifier(pa.array([["good", "bad"], None]))
    assert of_arrow == [*classifier([("good", "bad")]), (None, None)]
    assert classifier(("", "good film")) == (None, None)
    assert classifier(iter([("good", "bad"), ("", "")]))[0][0] in ("bad", "good")
    for value, shown in (
        ("good film", "'good film'"),
        (["good", "bad"], "'good'"),
        ([("a", "b", "c")], "('a', 'b', 'c')"),
    ):
        with pytest.raises(InputError) as error:
            classifier(value)
        assert f"{shown} is no pair; the model reads pairs of texts" in str(error.value)
    with pytest.raises(InputError, match="text 2 of 2: 7 is not a text"):
        classifier([("a", "b"), ("c", 7)])


def test_a_pair_for_a_model_of_single_texts(finished):
    with pytest.raises(InputError, match="is not a text; give a string"):
        predict([("good", "film")])
    assert len(predict(("good", "film"))) == 2  # two texts
    message = "the model reads single texts; leave --pair out"
    assert message in infer_command("--pair", "good", "bad", ok=False)


def test_explanation_reads_both_texts(trained):
    explained = explain_label(*load_classifier(), ("good plot", "a bad film"))
    assert explained.words == ["good", "plot", "|", "a", "bad", "film"]
    assert explained.attributions[2] == 0
    assert all(value for place, value in enumerate(explained.attributions) if place != 2)
    assert explained.gap < 0.05


def test_texts_on_the_command_line(trained):
    lines = infer_command("--pair", "good plot", "bad film", "dull", "great").splitlines()
    assert [line.split("  ")[-1] for line in lines] == ["text", "good plot | bad film", "dull | great"]
    assert "the model reads pairs of texts; give it pairs with --pair" in infer_command("good", "bad", ok=False)
    assert "--pair: 3 texts, but two are needed for each pair" in infer_command("--pair", "a", "b", "c", ok=False)
    assert "--pair: give it with texts" in infer_command("--pair", "-", ok=False)
    assert " | " in infer_command("--explain", "--pair", "good plot", "bad film")


def test_standard_input(trained):
    lines = infer_command("-", stdin=b"good plot\tbad film\ndull\t\n").splitlines()
    first, second = map(json.loads, lines)
    assert (first["text"], first["text_pair"]) == ("good plot", "bad film")
    assert first["label"] in ("bad", "good")
    assert (second["label"], second["text_pair"]) == (None, "")
    status, out, err = run_module("apps.infer", ("-",), b"a\tb\ngood film\n")
    assert (status, len(out.splitlines())) == (1, 1)
    assert "standard input: line 2: has 0 tabs; put one tab between the two texts of a pair" in err


def test_a_file(trained):
    rows = pd.DataFrame([*PAIRS, ("good", None), (None, "good")], columns=["premise", "hypothesis"])
    rows.to_csv("a.csv", index=False)
    infer_command("--file", "a.csv", "--out", "a.parquet")
    scored = pd.read_parquet("a.parquet")
    assert scored.columns.tolist() == ["premise", "hypothesis", "predicted", "confidence"]
    assert scored["predicted"].isna().tolist() == [False, False, False, True, True]
    labels, shares = zip(*predict(PAIRS), strict=True)
    assert scored["predicted"][:3].tolist() == list(labels)
    assert scored["confidence"][:3].tolist() == pytest.approx(list(shares), abs=1e-5)
    rows.rename(columns={"premise": "a", "hypothesis": "b"}).to_csv("b.csv", index=False)
    infer_command("--file", "b.csv", "--column", "a", "--column", "b", "--out", "b.parquet")
    assert pd.read_parquet("b.parquet")["confidence"].equals(scored["confidence"])
    assert "name both columns of a pair" in infer_command("--file", "b.csv", "--column", "a", ok=False)
    rows.assign(hypothesis=None).to_json("c.jsonl", orient="records", lines=True)
    assert "column 'hypothesis': no text in any row" in infer_command("--file", "c.jsonl", "--out", "c.csv", ok=False)


def test_samples_of_pairs(trained, capfd):
    texts = [{"text": ["good plot", "a bad film"], "label": "bad"}, {"text": ["a", "fun"]}]
    edit_params(trained, **{"infer.texts": texts})
    run_stages("infer", "report")
    assert [sample["text"] for sample in read("metrics/samples.json")] == [["good plot", "a bad film"], ["a", "fun"]]
    assert "good plot \\| a bad film" in Path("metrics/report.md").read_text()
    edit_params(trained, **{"infer.texts": ["good film"]})
    capfd.readouterr()
    run_stages("infer", "report")
    assert read("metrics/samples.json") == []
    assert "infer: the model reads pairs of texts, and infer.texts has others" in capfd.readouterr().err


@pytest.mark.parametrize("text", [["good"], ["a", "b", "c"], ["good", 7], 7])
def test_malformed_samples(project, text):
    from classifier.runner.params import load_params

    edit_params(project, **{"infer.texts": [{"text": text}]})
    with pytest.raises(InputError, match=r"infer.texts.0.text: should be a text, or a list of the two texts of a pair"):
        load_params()


def test_a_pair_with_one_text_is_refused_or_left_out(finished, capfd):
    rows = pairs(120)
    rows.loc[3, "premise"], rows.loc[5, "hypothesis"] = None, "<br>"
    rows.loc[7, ["premise", "hypothesis"]] = None
    write_pairs(rows)
    select(finished)
    line = refusal(data, capfd)
    assert "lines 5, 7, column 'premise' and 'hypothesis': a pair with one text; fill it in" in line
    assert "line 9, column 'premise' and 'hypothesis': empty text" in line
    select(finished, drop=["empty"])
    run_stages("data")
    assert read("metrics/data.json")["empty_rows_dropped"] == 3
    splits = [read_table(RAW / f"{name}.parquet")[0] for name in ("train", "validation", "test")]
    kept = rows.drop([3, 5, 7])
    assert sorted(texts_of(pd.concat(splits))) == sorted(zip(kept["premise"], kept["hypothesis"], strict=True))


def test_duplicates_are_pairs_with_both_texts_equal(finished):
    rows = pairs(100)
    more = [("ab", "c", "bad"), ("a", "bc", "bad"), ("AB ", "c", "bad"), ("c", "ab", "bad"), ("ab\nc", "d", "bad")]
    write_pairs(pd.concat([rows, pd.DataFrame(more, columns=rows.columns)]))
    select(finished)
    run_stages("data")
    assert read("metrics/data.json")["duplicates_dropped"] == 1


def test_a_pair_with_nothing_to_read_for_the_tokenizer_is_refused(finished, capfd):
    rows = pairs(100)
    rows.loc[50, "premise"] = "\ufffd\ufffd"  # the tokenizer drops this character
    write_pairs(rows)
    select(finished)
    run_stages("data")
    assert "the tokenizer finds nothing to read in ('\ufffd\ufffd'" in refusal(tokenize, capfd)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": "premise"}, "pair needs exactly two columns in `text`"),
        ({"text": ["premise", "hypothesis", "label"]}, "pair needs exactly two columns in `text`"),
        ({"separator": "\n"}, "separator joins columns, but with `pair` they are not joined; leave it out"),
    ],
)
def test_entries_that_are_refused(project, changes, message):
    from classifier.runner.params import load_params

    select(project, **changes)
    with pytest.raises(InputError) as error:
        load_params()
    assert str(error.value).startswith(f"params.yaml: datasets.pairs: {message}")


def test_single_texts_have_no_trace_of_pairs(finished):
    assert b"pair" not in (RAW / "train.parquet").read_bytes()
    assert b"pair" not in Path("data/tokens/train.arrow").read_bytes()
    assert "pair" not in read(ADAPTER / "config.json").keys() | read(BASE / "config.json").keys()
