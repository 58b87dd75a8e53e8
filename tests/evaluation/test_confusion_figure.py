"""The picture of the confusion matrix, for few and for many labels and in any script."""

import numpy as np
import pytest
from drawn import drawn, matrix, texts

from classifier.evaluation import canvas, fonts
from classifier.evaluation.confusion import confusion_figure


def test_a_confusion_matrix_of_few_labels():
    fig = drawn(confusion_figure, np.array([[1500, 500], [0, 4000]]), ["bad", "good"])
    (axes,) = fig.axes  # no colour bar
    assert [text.get_text() for text in axes.texts] == ["1,500\n75.0%", "500\n25.0%", "0\n0.0%", "4,000\n100.0%"]
    assert {"bad", "good", "actual", "predicted"} <= set(texts(fig))
    rare = drawn(confusion_figure, np.array([[9999, 1], [0, 1]]), ["bad", "good"])
    assert "1\n<0.1%" in texts(rare)


@pytest.mark.parametrize("k", [3, 7])
def test_the_row_of_a_label_without_texts(k):
    """It says so, and has no counts and shares. The column of the label has counts."""
    counts = np.full((k, k), 10)
    counts[1] = 0
    (axes,) = drawn(confusion_figure, counts, [f"label {number}" for number in range(k)]).axes
    cells = [text for text in axes.texts if text.get_text().startswith("10\n")]
    assert len(cells) == len(axes.texts) - 1 == (k - 1) * k
    assert {text.get_position()[1] for text in cells} == {*range(k)} - {1}
    (none,) = (text for text in axes.texts if text not in cells)
    assert (none.get_text(), none.get_position()) == ("none there", ((k - 1) / 2, 1))


def test_of_many_labels_the_largest_confusions_are_bars():
    """Of label 3, 5 of 9 + 5 rows are taken for label 20; of label 7, 1 of 10 for label 0; no other pair differs."""
    counts = 9 * np.eye(21, dtype=int)
    counts[3, 20], counts[7, 0] = 5, 1
    fig = drawn(confusion_figure, counts, [f"label {number}" for number in range(21)])
    (axes,) = fig.axes
    assert [bar.get_width() for bar in axes.patches] == [5, 1]
    assert {"label 3 → label 20", "5 (36%)", "label 7 → label 0", "1 (10%)"} <= set(texts(fig))


@pytest.mark.parametrize("k", [2, 4, 20, 21, 77, 300])
def test_a_confusion_matrix_fits_the_page(k):
    fig = drawn(confusion_figure, matrix(k), [f"label number {number} with a long name" for number in range(k)])
    assert max(fig.get_size_inches()) <= 1.01 * canvas.WIDTH
    box, (width, height) = fig.get_tightbbox(), fig.get_size_inches()
    assert -0.01 < box.x0 < box.x1 < width + 0.01
    assert -0.01 < box.y0 < box.y1 < height + 0.01
    assert len({text for text in texts(fig) if text.startswith("label")}) == min(k, 20)  # none are cut to the same


@pytest.mark.parametrize("k", [2, 21])
def test_a_matrix_without_a_mistake(k):
    names = [f"label {number}" for number in range(k)]
    drawn(confusion_figure, 5 * np.eye(k, dtype=int), names)
    drawn(confusion_figure, np.zeros((k, k), dtype=int), names)


def test_labels_of_every_script(monkeypatch):
    """A label that no font can show is drawn as its number, which a note explains, and no warning is given."""
    assert fonts.font_families()[0] == "DejaVu Sans"
    names = ["Позитив\u200b", "αρνητικό", "عربي", "好", "ℵ\ufe0f", "\U0001fae8", "a\x07\tb"]
    for module in (fonts, canvas):  # as on a machine without other fonts
        monkeypatch.setattr(module, "font_families", lambda: ["DejaVu Sans"])
    fonts.characters.cache_clear()
    shown = texts(drawn(confusion_figure, matrix(7), names))
    fonts.characters.cache_clear()
    for name in ("αρνητικό", "عربي", "label 4", "label 6", "a b"):
        assert shown.count(name) == 2  # a row and a column
    assert any(text.startswith("Позитив") for text in shown)
    assert fonts.NOTE in shown


def test_labels_that_need_no_note():
    """The note explains numbers alone, and not a label that is called like one."""
    for names in (["yes", "no"], ["label 1", "label 2"]):
        assert fonts.NOTE not in texts(drawn(confusion_figure, matrix(2), names))
