"""Markup that is stripped, and texts that are blank."""

import pytest

from classifier.text.cleaning import clean_texts, is_blank


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
