import pytest
from conftest import write_bert

from stages.text import cleaned, encode, truncate


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
        ("head+tail", [101, 1, 6, 7, 8, 102]),  # a quarter of the four places, then three quarters
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


def test_markup_is_stripped_if_asked(tokenizer):
    with_markup, plain = "good<br /><br />film <i>was</i> fun", "good film was fun"
    assert encode([with_markup], tokenizer, 64, "head", True) == encode([plain], tokenizer, 64, "head", True)
    assert encode([with_markup], tokenizer, 64, "head", False) != encode([plain], tokenizer, 64, "head", False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("good<br/>film", "good film"),
        ("a <a class=x href='y>z'>link</a>", "a  link "),
        ("good <3 film", "good <3 film"),  # signs that are no tags stay: they are words to the reader
        ("if x<y then fine, but z>w", "if x<y then fine, but z>w"),
        ("a < b > c", "a < b > c"),
    ],
)
def test_what_is_markup(text, expected):
    assert cleaned([text], True) == [expected]
    assert cleaned([text], False) == [text]


def test_an_empty_text_is_its_special_tokens(tokenizer):
    assert encode([""], tokenizer, 64, "head+tail", True) == [[tokenizer.cls_token_id, tokenizer.sep_token_id]]
