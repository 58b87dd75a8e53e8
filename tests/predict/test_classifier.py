"""`Classifier` in Python: what a text may be, texts without a label, and adapters that are refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from commands import infer_command, predict, read
from datasets import Dataset

from classifier.errors import InputError
from classifier.predict.classifier import Classifier


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


def test_labels_of_the_names_that_transformers_gives_by_itself(finished):
    """transformers leaves such names out of config.json."""
    path = Path("models/adapter/config.json")
    config = {name: value for name, value in read(path).items() if name not in ("id2label", "label2id")}
    path.write_text(json.dumps(config))
    Path("a.csv").write_text("text\ngood film\n")
    infer_command("--file", "a.csv")
    assert pd.read_parquet("scored.parquet")["predicted"].tolist() == [predict("good film")[0]] == ["LABEL_1"]


def test_probabilities_need_something_to_read(finished):
    """Without a row for the blank text, all probabilities after it would be those of other texts."""
    classifier = Classifier()
    assert classifier.probabilities(["good", "bad"]).shape == (2, 2)
    with pytest.raises(InputError, match=r"^text 2: the tokenizer finds nothing to read in it; leave it out$"):
        classifier.probabilities(["good", "<br />", "bad"])
