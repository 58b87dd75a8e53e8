"""The token ids of texts: truncation, windows and special tokens."""

import pytest
from encoders import FAMILIES, write_encoder
from tiny import write_bert

from classifier.files.places import BASE
from classifier.text.encoding import (
    count_special_tokens,
    cut_pair,
    cut_windows,
    encode,
    special_ids,
    special_tokens_of_pair,
    truncate,
)
from classifier.text.word_encoding import encode_words


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


HALVES = ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [21, 22, 23, 24, 25, 26])


@pytest.mark.parametrize(
    ("truncation", "first", "second"),
    [
        ("head", [1, 2, 3, 4], [21, 22, 23, 24]),  # 11 tokens without the three special ones are 8
        ("tail", [7, 8, 9, 10], [23, 24, 25, 26]),
        ("head+tail", [1, 8, 9, 10], [21, 24, 25, 26]),
    ],
)
def test_both_texts_of_a_pair_are_cut_to_half_of_the_room(truncation, first, second):
    assert cut_pair(HALVES, 1, 11, truncation, 3) == [(first, second)]
    assert cut_pair(HALVES[::-1], 1, 11, truncation, 3) == [(second, first)]


def test_the_longer_text_of_a_pair_is_cut_by_hand():
    assert cut_pair(HALVES, 1, 19, "head", 3) == [HALVES]  # fits
    assert cut_pair(HALVES, 1, 18, "head", 3) == [(HALVES[0][:9], HALVES[1])]
    assert cut_pair(HALVES, 1, 15, "tail", 3) == [(HALVES[0][4:], HALVES[1])]  # half of the room of 12 is 6
    assert cut_pair(HALVES, 1, 14, "head", 3) == [(HALVES[0][:6], HALVES[1][:5])]  # an odd room: 6 and 5
    equal = ([1, 2, 3, 4], [5, 6, 7, 8])
    assert cut_pair(equal, 1, 8, "head", 3) == [([1, 2], [5, 6, 7])]  # of two equal texts, the second gets more


def test_windows_of_a_pair_lie_in_the_longer_text():
    short, long = [1, 2], [*range(21, 33)]
    windows = [[21, 22, 23, 24], [25, 26, 27, 28], [29, 30, 31, 32]]
    assert cut_pair((short, long), 8, 9, "head", 3) == [(short, window) for window in windows]
    assert cut_pair((long, short), 2, 9, "head", 3) == [(windows[0], short), (windows[2], short)]
    assert cut_pair((long[:7], short), 8, 9, "head", 3) == [(windows[0], short)]  # less than two windows fit
    cut = cut_pair((HALVES[1], long), 8, 9, "head", 3)  # the shorter text is longer than half of the room of 6
    assert cut == [([21, 22, 23], long[start : start + 3]) for start in (0, 3, 6, 9)]


@pytest.mark.parametrize("family", FAMILIES)
def test_pairs_are_encoded_as_transformers_does(family, tmp_path, monkeypatch):
    from transformers import AutoTokenizer

    monkeypatch.chdir(tmp_path)
    write_encoder(family)
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    pairs = [("good film", "bad"), ("the plot was long", "great" + " scene" * 30), ("dull" + " fun" * 30, "bad" * 30)]
    for max_length in (64, 16, 15):
        own = tokenizer(*map(list, zip(*pairs, strict=True)), truncation="longest_first", max_length=max_length)
        assert encode(pairs, tokenizer, max_length, "head", False) == [[ids] for ids in own["input_ids"]]
    special = [len(ids) for ids in special_tokens_of_pair(tokenizer)]
    assert special == ([1, 2, 1] if family in ("roberta", "mpnet") else [1, 1, 1])
    several = {"max_length": 20, "truncation": "head+tail", "strip_markup": True, "windows": 3}
    for pair in (*pairs, ("a<br>film", "good <i>plot")):
        words = encode_words(pair, tokenizer, **several)
        assert words.windows == encode([pair], tokenizer, **several)[0]
        assert all(words.words[number] != "|" for window in words.word_numbers for number in window if number >= 0)
        for ids, numbers in zip(words.windows, words.word_numbers, strict=True):
            assert [number == -1 for number in numbers] == [token in special_ids(tokenizer) for token in ids]
    assert words.words == ["a", "film", "|", "good", "plot"]


def test_tokenizers_without_special_tokens_in_pairs(tokenizer, tmp_path):
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer

    write_bert(tmp_path)
    bare = AutoTokenizer.from_pretrained(tmp_path)
    bare.backend_tokenizer.post_processor = TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])
    assert special_tokens_of_pair(bare) == [[], [], []]
    assert encode([("good film", "bad")], bare, 64, "head", False) == [[bare("good film", "bad")["input_ids"]]]


def test_a_special_token_in_a_text_of_a_pair_is_text(tokenizer):
    """Otherwise it would end the first text: the token types count from the first [SEP]."""
    ((ids,),) = encode([("good [SEP] film", "bad")], tokenizer, 64, "head", False)
    assert ids.count(tokenizer.sep_token_id) == 2
    assert encode([("[PAD]", "bad")], tokenizer, 64, "head", False) != [[]]


def test_a_pair_with_a_text_with_nothing_to_read_has_no_window(tokenizer):
    pairs = [("good", "bad"), ("good", "\ufffd"), ("", "bad")]
    assert [len(windows) for windows in encode(pairs, tokenizer, 64, "head", False)] == [1, 0, 0]
