"""The stage `tokenize`: long texts, and texts, encoders and tokenizers that it refuses."""

import json

import numpy as np
import pandas as pd
import pytest
from commands import predict, refusal, run_stages
from scipy.special import softmax
from tiny import NEGATIVE, NEUTRAL, POSITIVE

from classifier.files.formats import write_table
from classifier.files.places import RAW
from classifier.model.forward import logits
from classifier.model.loading import load_classifier
from classifier.text.encoding import encode
from classifier.text.tokens import open_tokens
from stages.tokenize import load_tokenizer, tokenize

METADATA = {
    "name": "tiny",
    "task": "single-label",
    "labels": ["negative", "positive"],
    "columns": ["text"],
    "separator": "\n",
}


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


def write_sentencepiece(base) -> list[str]:
    """Replace the tokenizer by a SentencePiece model of single words, as DeBERTa-v3 has one; return its pieces."""
    from transformers.convert_slow_tokenizer import import_protobuf

    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (base / name).unlink(missing_ok=True)
    pieces = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *(f"\u2581{word}" for word in POSITIVE + NEGATIVE + NEUTRAL)]
    kinds = {"[UNK]": 2} | dict.fromkeys(pieces[:3], 3)  # unknown, control, and 1 for normal pieces
    model = import_protobuf().ModelProto(
        pieces=[{"piece": piece, "score": -len(piece), "type": kinds.get(piece, 1)} for piece in pieces],
        trainer_spec={"model_type": 1, "unk_id": 3, "bos_id": 1, "eos_id": 2, "pad_id": 0, "unk_piece": "[UNK]"},
        normalizer_spec={"name": "identity", "add_dummy_prefix": True, "remove_extra_whitespaces": True},
    )
    (base / "spm.model").write_bytes(model.SerializeToString())
    config = {"model_type": "deberta-v2", "vocab_size": len(pieces) + 1, "max_position_embeddings": 64}
    (base / "config.json").write_text(json.dumps(config | {"pad_token_id": 0}))
    return pieces


def test_a_sentencepiece_model_without_its_package(finished, capfd, monkeypatch):
    write_sentencepiece(finished / "models/base")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert refusal(tokenize, capfd) == (
        "models/base/spm.model: needs the package sentencepiece; install it with "
        "`uv pip install --group sentencepiece -c requirements.txt`"
    )


def test_a_sentencepiece_model_is_converted(finished):
    """The ids are those that sentencepiece itself gives. It alone makes one id of several unknown words in a row."""
    sentencepiece = pytest.importorskip("sentencepiece")
    pieces = write_sentencepiece(finished / "models/base")
    tokenizer = load_tokenizer(24)
    processor = sentencepiece.SentencePieceProcessor(model_file="models/base/spm.model")
    for text in ("a great film", "the  plot was unheard", "not too long"):
        assert tokenizer(text)["input_ids"] == [1, *processor.encode(text), 2]
    assert tokenizer("a film", return_offsets_mapping=True)["offset_mapping"][1:3] == [(0, 1), (1, 6)]
    run_stages("tokenize")
    ids = open_tokens("train")[np.arange(1)][0]
    assert (ids[0], ids[-1]) == (1, 2)
    assert {pieces[number][0] for number in ids[1:-1]} == {"\u2581"}


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
