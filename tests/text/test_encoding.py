"""The token ids of texts: truncation, windows and special tokens."""

import pytest
from tiny import write_bert

from classifier.text.encoding import count_special_tokens, cut_windows, encode, truncate


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


def test_markup_is_stripped_if_asked(tokenizer):
    with_markup, plain = "good<br /><br />film <i>was</i> fun", "good film was fun"
    assert encode([with_markup], tokenizer, 64, "head", True) == encode([plain], tokenizer, 64, "head", True)
    assert encode([with_markup], tokenizer, 64, "head", False) != encode([plain], tokenizer, 64, "head", False)


def test_texts_are_tokenized_in_groups_of_limited_length(tokenizer, monkeypatch):
    texts, calls = ["good film", "bad", "fun " * 30, "", "dull plot"], []
    settings = {"max_length": 10, "truncation": "head", "strip_markup": True, "windows": 3}
    expected = encode(texts, tokenizer, **settings)

    def counted(part, **options):
        calls.append(part)
        return tokenizer(part, **options)

    counted.all_special_ids, counted.unk_token_id = tokenizer.all_special_ids, tokenizer.unk_token_id
    monkeypatch.setattr("classifier.text.encoding.CHARACTERS_PER_CALL", 100)
    assert encode(texts, counted, **settings) == expected
    assert calls[1:] == [texts[:2], texts[2:]]  # the first call counts the special tokens


def test_a_text_with_nothing_to_read_has_no_window(tokenizer):
    assert encode(["", "<br>", "good"], tokenizer, 64, "head+tail", True)[:2] == [[], []]
