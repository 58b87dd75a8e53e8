"""The stage `tokenize`, and the cleaning and encoding of texts."""

import numpy as np
import pandas as pd
import pytest
from commands import predict, refusal, run_stages
from scipy.special import softmax
from tiny import write_bert
from transformers import AutoConfig, AutoModelForSequenceClassification

from classifier.errors import InputError
from classifier.files.formats import write_table
from classifier.files.places import RAW
from classifier.model.build import check_length
from classifier.model.forward import logits
from classifier.model.loading import load_classifier
from classifier.text.cleaning import clean_texts, is_blank
from classifier.text.encoding import count_special_tokens, cut_windows, encode, truncate
from classifier.text.tokens import open_tokens
from stages.tokenize import tokenize

METADATA = {"name": "tiny", "labels": ["negative", "positive"], "columns": ["text"], "separator": "\n"}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("bert")
    write_bert(folder)
    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(
    ("truncation", "expected"),
    [
        ("head", [101, 1, 2, 3, 4, 102]),
        ("tail", [101, 5, 6, 7, 8, 102]),
        ("head+tail", [101, 1, 6, 7, 8, 102]),  # one of the four places for the beginning, three for the end
    ],
)
def test_truncate_by_hand(truncation, expected):
    ids = [101, 1, 2, 3, 4, 5, 6, 7, 8, 102]
    assert truncate(ids, 6, truncation, 1, 1) == expected
    assert truncate(ids, 10, truncation, 1, 1) == ids
    assert truncate(ids[:5], 6, truncation, 1, 1) == ids[:5]


def test_truncate_without_a_token_before_the_text():
    assert truncate([1, 2, 3, 4, 5, 102], 5, "head", 0, 1) == [1, 2, 3, 4, 102]
    assert truncate([1, 2, 3, 4, 5, 102], 5, "head+tail", 0, 1) == [1, 3, 4, 5, 102]


@pytest.mark.parametrize(
    ("template", "expected"),
    [("[CLS] $A [SEP]", (1, 1)), ("$A [SEP]", (0, 1)), ("$A [SEP] [CLS]", (0, 2)), ("$A", (0, 0))],
)
def test_special_tokens_of_a_template(tmp_path, template, expected):
    """mBART, for example, has two special tokens after the text and none before it."""
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer

    write_bert(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    backend = tokenizer.backend_tokenizer
    special = [(name, backend.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    backend.post_processor = TemplateProcessing(single=template, special_tokens=special)
    assert count_special_tokens(tokenizer) == expected


def test_windows_by_hand():
    ids = [101, *range(1, 11), 102]
    assert cut_windows(ids, 8, 5, "head", 1, 1) == [[101, 1, 2, 3, 102], [101, 5, 6, 7, 102], [101, 8, 9, 10, 102]]
    assert cut_windows(ids, 2, 5, "head", 1, 1) == [[101, 1, 2, 3, 102], [101, 8, 9, 10, 102]]
    assert cut_windows(ids, 1, 5, "tail", 1, 1) == [[101, 8, 9, 10, 102]]
    assert cut_windows(ids, 8, 8, "head+tail", 1, 1) == [[101, 1, 6, 7, 8, 9, 10, 102]]  # two of six do not fit
    assert cut_windows(ids, 8, 12, "head", 1, 1) == [ids]
    assert cut_windows([*ids[1:]], 8, 6, "head", 0, 1) == [[1, 2, 3, 4, 5, 102], [6, 7, 8, 9, 10, 102]]
    assert cut_windows(ids[:-1], 8, 6, "head", 1, 0) == [[101, 1, 2, 3, 4, 5], [101, 6, 7, 8, 9, 10]]


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


def test_markup_is_stripped_if_asked(tokenizer):
    with_markup, plain = "good<br /><br />film <i>was</i> fun", "good film was fun"
    assert encode([with_markup], tokenizer, 64, "head", True) == encode([plain], tokenizer, 64, "head", True)
    assert encode([with_markup], tokenizer, 64, "head", False) != encode([plain], tokenizer, 64, "head", False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("good<br/>film", "good film"),
        ("a <a class=x href='y>z'>link</a>", "a  link "),
        ("good <3 film", "good <3 film"),  # signs that are not tags stay, since a reader reads them
        ("if x<y then fine, but z>w", "if x<y then fine, but z>w"),
        ("a < b > c", "a < b > c"),
        ("if a <b and c> d", "if a <b and c> d"),
        ("<BR>good</P>", " good "),
        ("<user> sent <url> to <PERSON>", "<user> sent <url> to <PERSON>"),
        ("List<String> of Map<K,V>", "List<String> of Map<K,V>"),
        ("Set<Object> and </Object> <Button onClick={x}>", "Set<Object> and </Object> <Button onClick={x}>"),
        ("<h1 class='a'>good</h1> <i18n> <spanner> <x-tag>", " good  <i18n> <spanner> <x-tag>"),
    ],
)
def test_what_is_markup(text, expected):
    assert clean_texts([text], True) == [expected]
    assert clean_texts([text], False) == [text]


def test_texts_are_tokenized_in_groups_of_limited_length(tokenizer, monkeypatch):
    texts, calls = ["good film", "bad", "fun " * 30, "", "dull plot"], []
    settings = {"max_length": 10, "truncation": "head", "strip_markup": True, "windows": 3}
    expected = encode(texts, tokenizer, **settings)

    def counted(part, **options):
        calls.append(part)
        return tokenizer(part, **options)

    monkeypatch.setattr("classifier.text.encoding.CHARACTERS_PER_CALL", 100)
    assert encode(texts, counted, **settings) == expected
    assert calls[1:] == [texts[:2], texts[2:]]  # the first call counts the special tokens


def test_an_empty_text_is_its_special_tokens(tokenizer):
    assert encode([""], tokenizer, 64, "head+tail", True) == [[[tokenizer.cls_token_id, tokenizer.sep_token_id]]]


@pytest.mark.parametrize(
    ("kind", "limit"),
    [("bert", 20), ("distilbert", 20), ("roberta", 18), ("xmod", 18), ("mpnet", 18), ("esm", 18), ("longformer", 18)],
)
def test_an_encoder_is_tried_at_the_maximum_length(kind, limit):
    """Some kinds count positions from the padding id, here 1, and so cannot use two of 20. No config says so."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    if kind == "distilbert":
        sizes = {"dim": 32, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}
    more = {"attention_window": 4} if kind == "longformer" else {"languages": ["en"]} if kind == "xmod" else {}
    more |= {"position_embedding_type": "absolute"} if kind == "esm" else {}
    config = AutoConfig.for_model(kind, vocab_size=50, max_position_embeddings=20, pad_token_id=1, **sizes, **more)
    model = AutoModelForSequenceClassification.from_config(config)
    if kind == "xmod":
        model.set_default_language("en")
    check_length(model, limit)
    with pytest.raises(InputError, match=f"tokenize.max_length: the model cannot read 21 tokens; lower it to {limit} "):
        check_length(model, 21)


def test_a_text_without_a_token_is_refused(finished, capfd):
    """The tokenizer drops characters that are no letter, sign or space."""
    rows = pd.DataFrame({"text": ["good film", "\ufffd\ufffd", "bad"], "label": [1, 0, 0]})
    for name in ("train", "validation", "test"):
        write_table(RAW / f"{name}.parquet", rows if name == "validation" else rows[::2], **METADATA)
    before = (finished / "data/tokens/train.arrow").read_bytes()
    problem = "row 2: the tokenizer finds nothing to read in '\ufffd\ufffd'; remove the text"
    assert refusal(tokenize, capfd).startswith(f"data/raw/validation.parquet: {problem}")
    assert (finished / "data/tokens/train.arrow").read_bytes() == before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        (" \t\n", True),
        ("<br />", True),
        ("<p>\u200b</p>", True),
        ("\ufeff", True),
        ("\u2060\u200d", True),
        ("\x00", True),
        ("\u00a0\u3000", True),
        ("<user>", False),  # not an element of HTML
        ("<br /> a", False),
        ("\u200b!", False),
        ("<3", False),
        ("\U0001f600", False),
        ("\u4e2d", False),
    ],
)
def test_what_is_blank(text, expected):
    assert is_blank(text) == expected
