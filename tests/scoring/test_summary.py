"""The summary of a scored file, against the columns of the file and of validation.parquet."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from commands import infer_command, read
from forking import run_module
from safetensors.numpy import load_file
from scipy.special import softmax
from tiny import reviews

from classifier.errors import InputError
from classifier.files.places import ADAPTER, FEATURES, VALIDATION
from classifier.model.features import SAMPLE, from_bytes, in_half_precision, sampled_rows, to_bytes
from classifier.model.loading import load_classifier
from classifier.scoring import files as scoring
from classifier.scoring.files import score_file
from classifier.scoring.job import Job
from classifier.scoring.parts import FEATURES as COLUMN
from classifier.scoring.summary import Summary, summary_lines

JOB = Job(Path("new.csv"), Path("out.parquet"))


def write_texts(texts: list[str]) -> None:
    """Write new.csv."""
    pd.DataFrame({"text": texts}).to_csv("new.csv", index=False)


def test_the_summary_of_a_file(finished):
    """The texts are drawn like those of the training. One in six is blank."""
    write_texts([text if number % 6 else " " for number, (text, _) in enumerate(reviews(240, seed=5))])
    printed = infer_command("--file", "new.csv", "--out", "out.parquet")
    summary, scored = read("out.parquet.summary.json"), pd.read_parquet("out.parquet").dropna()
    validation = pd.read_parquet(VALIDATION)
    assert list(scored) == ["text", "predicted", "confidence"]
    assert (summary["rows"], summary["without_answer"]) == (240, 40)
    share, confidence = (scored["predicted"] == "positive").mean(), scored["confidence"].mean()
    assert summary["file"] == pytest.approx(
        {"share_negative": 1 - share, "share_positive": share, "mean_confidence": confidence}, abs=6e-5
    )
    share, mean = validation["predicted"].mean(), validation["unseen_confidence"].mean()
    assert summary["validation"] == pytest.approx(
        {"share_negative": 1 - share, "share_positive": share, "mean_confidence": mean}, abs=6e-5
    )
    assert summary["predicted_accuracy"] == summary["file"]["mean_confidence"]
    accuracy = summary["validation_accuracy"]
    assert accuracy == pytest.approx(validation["unseen_right"].mean(), abs=6e-5)
    assert printed == (
        "infer: 240 rows in out.parquet\n"
        f"infer: predicted accuracy {summary['predicted_accuracy']:.1%} (validation {accuracy:.1%}), "
        "summary in out.parquet.summary.json\n"
    )
    distance = summary["distance"]
    assert (distance["texts"], distance["validation_texts"]) == (200, len(validation))
    assert not distance["differs"]


def test_other_texts_are_told_apart(finished):
    """All reviews have at most three words, which differ, where those of the training have five to 30."""
    words = ["the", "a", "film", "movie", "was", "and", "it", "plot", "actor", "scene", "i", "this", "not"]
    write_texts([f"{a} {b} {c}" for a in words for b in words for c in words[:3]][:300])
    status, _, err = run_module("apps.infer", ["--file", "new.csv", "--out", "out.csv"], b"")
    assert status == 0
    assert read("out.csv.summary.json")["distance"]["differs"]
    assert err.splitlines()[-1].startswith(
        "infer: these texts differ from the training's: a classifier tells them apart (AUC "
    )


def test_the_features_of_the_validation_texts(finished):
    """The last layer turns them into the logits behind the probabilities in validation.parquet."""
    features, rows = load_file(FEATURES)["features"], pd.read_parquet(VALIDATION)
    assert features.dtype == np.float16
    last = load_classifier()[0].classifier
    logits = features @ last.weight.detach().numpy().T + last.bias.detach().numpy()
    np.testing.assert_allclose(softmax(logits, axis=1)[:, 1], rows["probability_positive"], atol=2e-3)


def test_an_adapter_without_features(finished):
    FEATURES.unlink()
    write_texts([text for text, _ in reviews(40, seed=5)])
    score_file(JOB)
    summary = read(JOB.summary)
    assert summary["distance"]["texts"] == 40
    assert "no features of validation texts; train it again" in summary["distance"]["not_compared"]
    assert summary_lines(summary)[1] is None
    VALIDATION.unlink()
    score_file(JOB, overwrite=True)
    assert not {"validation", "validation_accuracy"} & {*read(JOB.summary)}
    assert summary_lines(read(JOB.summary))[0] == [f"predicted accuracy {summary['predicted_accuracy']:.1%}"]


def test_a_damaged_table_is_refused_before_a_text_is_scored(finished, monkeypatch):
    VALIDATION.write_bytes(b"PAR1")
    write_texts(["a good film"])
    monkeypatch.setattr(scoring, "score_missing_parts", None)
    with pytest.raises(InputError, match=r"validation\.parquet: .*; bring it back with `dvc checkout --force"):
        score_file(JOB)


def test_the_summary_is_not_overwritten(finished):
    write_texts(["a good film"])
    JOB.summary.write_text("mine")
    with pytest.raises(
        InputError, match=r"^out\.parquet\.summary\.json: exists already; give another --out, or --overwrite"
    ):
        score_file(JOB)
    assert JOB.summary.read_text() == "mine"
    score_file(JOB, overwrite=True)
    assert read(JOB.summary)["distance"] == {
        "texts": 1,
        "validation_texts": len(pd.read_parquet(VALIDATION)),
        "not_compared": "fewer than 30 texts",
    }


def test_a_text_counts_once(finished):
    """A few texts, each many times, are no evidence: the test assumes that texts are independent."""
    write_texts([text for text, _ in reviews(20, seed=5)] * 20)
    score_file(JOB)
    assert read(JOB.summary)["distance"]["texts"] == 20


def test_a_threshold_holds_for_the_validation_texts_too(finished):
    write_texts([text for text, _ in reviews(60, seed=5)])
    threshold = float(pd.read_parquet(VALIDATION)["confidence"].median())
    score_file(Job(JOB.path, JOB.out, min_confidence=threshold))
    facts, scored = read(JOB.summary), pd.read_parquet(JOB.out)
    assert facts["file"]["share_uncertain"] == pytest.approx((scored["predicted"] == "uncertain").mean(), abs=6e-5)
    assert facts["validation"]["share_uncertain"] == pytest.approx(0.5, abs=0.02)
    for shares in (facts["file"], facts["validation"]):
        assert sum(share for name, share in shares.items() if name.startswith("share_")) == pytest.approx(1, abs=2e-4)


def test_evenly_spaced_rows():
    assert sampled_rows(3).tolist() == [0, 1, 2]
    assert sampled_rows(0).tolist() == []
    rows = sampled_rows(4500)
    assert len(rows) == SAMPLE
    assert rows[0] == 0
    assert {*np.diff(rows)} == {2, 3}


def test_features_are_kept_in_half_precision():
    vector = np.array([0.1, 1e9, -1e9], dtype=np.float32)
    assert in_half_precision(vector).tolist() == [np.float16(0.1), 65504, -65504]
    first, again = to_bytes("A good  film", vector), to_bytes("a good film", vector)
    assert first == again
    key, features = from_bytes(first)
    assert len(key) == 16
    assert features.tolist() == in_half_precision(vector).tolist()


@pytest.mark.parametrize(
    ("added", "names", "answers", "validation", "expected"),
    [
        (
            {"predicted": "float64", "low": "float64", "high": "float64"},
            ["score"],
            {"predicted": [1e9 + 1, 1e9 + 3, None], "low": [None] * 3, "high": [None] * 3},
            {"predicted": [2.0, 6.0]},
            ({"mean": 1e9, "sd": 1.0}, {"mean": 4.0, "sd": 2.0}),
        ),
        (
            {"predicted": "int64", "confidence": "float32"},
            ["0", "1"],
            {"predicted": [0, 1, None, None], "confidence": [0.75, 1.0, 0.25, None]},
            {"predicted": [0, 0], "confidence": [0.4, 0.8], "unseen_confidence": [0.5, 0.7], "unseen_right": [1, 0]},
            (
                {"share_0": 0.3333, "share_1": 0.3333, "share_uncertain": 0.3333, "mean_confidence": 0.6667},
                {"share_0": 0.5, "share_1": 0.0, "share_uncertain": 0.5, "mean_confidence": 0.6},
            ),
        ),
        (
            {"predicted": "list<string>", "confidences": "list<float32>"},
            ["a", "b"],
            {"predicted": [["a", "b"], [], ["uncertain"], None], "confidences": [[0.9, 0.9], [], [0.4], None]},
            {"predicted": [[1, 0], [1, 1]], "confidence": [0.4, 0.8]},
            (
                {"share_a": 0.3333, "share_b": 0.3333, "share_uncertain": 0.3333, "labels_per_text": 0.6667},
                {"share_a": 0.5, "share_b": 0.5, "share_uncertain": 0.5, "labels_per_text": 1.0},
            ),
        ),
    ],
    ids=["numbers", "ratings", "several labels"],
)
def test_other_tasks_by_hand(monkeypatch, added, names, answers, validation, expected):
    """A mean and an sd of two tables; the uncertain answers have a confidence below 0.5."""
    monkeypatch.setattr(Job, "added", added)
    summary = Summary(Job(Path("a.csv"), min_confidence=0.0 if names == ["score"] else 0.5), names)
    types = {"predicted": "", "low": "", "high": ""} | added
    kinds = {"list<string>": pa.list_(pa.string()), "list<float32>": pa.list_(pa.float32())}
    columns = {name: pa.array(values, kinds.get(types[name]) or types[name]) for name, values in answers.items()}
    table = pa.table(columns | {COLUMN: pa.nulls(len(answers["predicted"]), pa.binary())})
    summary.add(table[:1])
    summary.add(table[1:])
    summary.validation = pd.DataFrame(validation)
    content = json.loads(json.dumps(summary.content()))
    assert (content["file"], content["validation"]) == expected
    assert (content["rows"], content["without_answer"]) == (len(table), 1)
    assert ("predicted_accuracy" in content) == ("confidence" in added)
    assert not ADAPTER.exists() or content["distance"]["texts"] == 0
