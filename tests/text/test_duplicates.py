"""Texts that count as the same text."""

from classifier.text.duplicates import normalize


def test_normalize():
    assert [normalize(text) for text in ("A  Film\n", "a film")] == ["a film"] * 2
    assert [normalize(text) for text in ("STRASSE", "straße")] == ["strasse"] * 2
    assert [normalize(text) for text in ("Café", "Cafe\u0301", "CAFÉ", "CAFE\u0301")] == ["café"] * 4
    for text in ("\u039c\u03b1\u0390\u03bf\u03c5", "\u1fb7"):  # their capitals have other marks
        assert normalize(text.upper()) == normalize(text)
