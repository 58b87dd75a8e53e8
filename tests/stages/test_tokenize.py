"""The stage `tokenize`: long texts, and texts, encoders and tokenizers that it refuses."""

import numpy as np
import pandas as pd
import pytest
from commands import predict, refusal, run_stages
from scipy.special import softmax

from classifier.files.formats import write_table
from classifier.files.places import RAW
from classifier.model.forward import logits
from classifier.model.loading import load_classifier
from classifier.text.encoding import encode
from classifier.text.tokens import open_tokens
from stages.tokenize import tokenize

METADATA = {"name": "tiny", "labels": ["negative", "positive"], "columns": ["text"], "separator": "\n"}


def test_long_texts_are_scored_by_windows_and_trained_on_as_one(finished):
    """In validation and test, a text as long as two windows has two rows, in the order of the texts."""
    long = ["good " * 50, "a bad film", "fun " * 25, "dull " * 90]
    for name in ("train", "validation", "test"):
        rows = pd.DataFrame({"text": long, "label": [1, 0, 1, 0]})
        write_table(RAW / f"{name}.parquet", rows, **METADATA)
    run_stages("tokenize")
    assert open_tokens("train").lengths.tolist() == [24, 5, 24, 24]
    assert open_tokens("train").texts is None
    for name in ("validation", "test"):
        tokens = open_tokens(name)
        assert tokens.texts.tolist() == [0, 0, 1, 2, 3, 3, 3, 3]  # windows of 22 tokens without the special ones
        assert tokens.lengths.tolist() == [24, 24, 5, 24, 24, 24, 24, 24]
        assert tokens.labels.tolist() == [1, 0, 1, 0]
        head = tokens.first_texts(3)
        assert (len(head), head.texts.tolist(), head.labels.tolist()) == (4, [0, 0, 1, 2], [1, 0, 1])
        assert len(tokens.first_texts(4)) == len(tokens.first_texts(None)) == 8
    model, tokenizer = load_classifier()
    scores = logits(model, tokens)
    windows = encode(long, tokenizer, **model.config.tokenize)
    expected = [logits(model, [np.array(ids) for ids in of_text]).mean(axis=0) for of_text in windows]
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    best = softmax(scores.astype(np.float64), axis=1).max(axis=1)
    assert [confidence for _, confidence in predict(long)] == pytest.approx(best.tolist(), abs=1e-5)


def test_a_text_without_a_token_is_refused(finished, capfd):
    """The tokenizer drops characters that are no letter, sign or space."""
    rows = pd.DataFrame({"text": ["good film", "\ufffd\ufffd", "bad"], "label": [1, 0, 0]})
    for name in ("train", "validation", "test"):
        write_table(RAW / f"{name}.parquet", rows if name == "validation" else rows[::2], **METADATA)
    before = (finished / "data/tokens/train.arrow").read_bytes()
    problem = "row 2: the tokenizer finds nothing to read in '\ufffd\ufffd'; remove the text"
    assert refusal(tokenize, capfd).startswith(f"data/raw/validation.parquet: {problem}")
    assert (finished / "data/tokens/train.arrow").read_bytes() == before


def test_a_model_without_a_padding_token(finished, capfd):
    """Where config.json names none, the padding token or the end token of the tokenizer pads."""
    config, tokenizer = (finished / f"models/base/{name}.json" for name in ("config", "tokenizer_config"))
    expected = [ids.tolist() for ids in open_tokens("train")[np.arange(3)]]
    config.write_text(config.read_text().replace('"pad_token_id": 0', '"pad_token_id": null'))
    run_stages("tokenize")
    assert [ids.tolist() for ids in open_tokens("train")[np.arange(3)]] == expected
    tokenizer.write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    message = "models/base: neither config.json nor the tokenizer has a padding token; choose another model"
    assert refusal(tokenize, capfd) == message


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("EsmTokenizer", "its EsmTokenizer does not report the offsets of tokens; choose another model"),
        ("FlaubertTokenizer", "the tokenizer does not load: "),  # without a package that the lock has not
    ],
)
def test_a_tokenizer_that_cannot_be_used_is_refused(finished, capfd, kind, problem):
    base = finished / "models/base"
    (base / "tokenizer.json").unlink(missing_ok=True)
    (base / "vocab.json").write_text("{}")
    (base / "merges.txt").write_text("")
    (base / "tokenizer_config.json").write_text(f'{{"tokenizer_class": "{kind}"}}')
    assert refusal(tokenize, capfd).startswith(f"models/base: {problem}")
