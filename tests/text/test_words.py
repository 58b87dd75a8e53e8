"""The terms of TF-IDF in several scripts. For scripts that are read in characters see tests/stages/test_baseline.py."""

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from classifier.text.words import choose_terms, count_words

SPACED = {
    "english": ("This film was not good", ["this", "film", "was", "not", "good"]),
    "russian": ("Этот фильм был хороший", ["этот", "фильм", "был", "хороший"]),
    "korean": ("영화가 정말 재미있어요 ㅋㅋㅋ", ["영화가", "정말", "재미있어요", "ㅋㅋㅋ"]),
    "arabic": ("كان هذا الفيلم جيدا", ["كان", "هذا", "الفيلم", "جيدا"]),
    "arabic with vowels": ("كَانَ هٰذَا ٱلْفِيلْمُ", ["كَانَ", "هٰذَا", "ٱلْفِيلْمُ"]),
    "hebrew": ("הסרט הזה היה טוב", ["הסרט", "הזה", "היה", "טוב"]),
    "hindi": ("यह फिल्म बहुत अच्छी है", ["यह", "फिल्म", "बहुत", "अच्छी", "है"]),
    "tamil": ("இந்த திரைப்படம் நன்றாக இருந்தது", ["இந்த", "திரைப்படம்", "நன்றாக", "இருந்தது"]),
}


@pytest.mark.parametrize("name", SPACED)
def test_words_are_the_terms_where_spaces_stand_between_them(name):
    """The terms are whole words. By default, scikit-learn would end a Hindi word at each vowel sign."""
    text, words = SPACED[name]
    terms_are, options = choose_terms([text, f"{text}!", "", " \n"])
    assert terms_are == "words"
    assert set(TfidfVectorizer(**options).fit([text]).get_feature_names_out()) == set(words)
    assert (options == {}) == (name not in ("hindi", "tamil", "arabic with vowels"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        (" a great\nfilm ", 3),
        ("здравствуй, мир", 2),
        ("这部电影很好看", 7),
        ("我看了film两次", 6),
        ("영화가 정말", 2),
    ],
)
def test_words_are_counted_in_any_script(text, words):
    """In a script without spaces each character counts; Korean has spaces."""
    assert count_words(text) == words


def test_most_of_the_texts_decide():
    english, chinese = [f"the film {i}" for i in range(10)], [f"这部电影{i}很好看" for i in range(10)]
    assert choose_terms(english + chinese[:9])[0] == "words"
    assert choose_terms(english[:9] + chinese)[0] == "characters"
    assert choose_terms(["Ng", "Müller", "Rossi", "Nowak"])[0] == "characters"  # no word recurs
    assert choose_terms(["great", "awful", "great", "Awful"])[0] == "words"
    assert choose_terms([""])[0] == "words"
