"""The pictures of the report, and that the bytes of all pictures repeat."""

import numpy as np
import pandas as pd
import pytest
from drawn import drawn, matrix, texts
from matplotlib.image import imread
from matplotlib.text import Text

from classifier.evaluation.canvas import new_figure, page_width, save_figure
from classifier.evaluation.confusion import confusion_figure
from classifier.evaluation.figures import (
    coverage_figure,
    length_figure,
    reliability_figure,
    smoothed,
    training_figure,
)
from classifier.evaluation.limits import metric_name

TRAINING = pd.DataFrame({"step": range(1, 41), "loss": np.linspace(0.7, 0.2, 40)})
VALIDATION = pd.DataFrame(
    {"step": [20, 40], "loss": [0.5, 0.3], "score": [0.8, 0.9], "low": [0.75, 0.86], "high": [0.84, 0.93]}
)
RELIABILITY = pd.DataFrame(
    {
        "calibration": ["before", "after"],
        "confidence": [0.9, 0.8],
        "accuracy": [0.8, 0.8],
        "low": [0.7, 0.7],
        "high": [0.9, 0.9],
    }
)
CONFIDENCE = pd.Series([0.52, 0.7, 0.95, 0.97])
COVERAGE = pd.DataFrame({"coverage": [0.5, 1], "accuracy": [0.9, 0.8], "confidence": [0.8, 0.5]})
ABOVE = {
    "threshold": 0.87,
    "coverage": 0.6,
    "accuracy": 0.89,
    "accuracy_low": 0.85,
    "accuracy_high": 0.92,
}
LENGTHS = {"0-99 words": {"n": 2, "accuracy": 0.5, "accuracy_low": 0.1, "accuracy_high": 0.9}}


def test_labels_are_drawn_verbatim():
    """A dollar sign in a label starts no formula."""
    names = ["$5_or_$6", "$a$"]
    for fig in (
        drawn(confusion_figure, np.eye(2, dtype=int), names),
        drawn(length_figure, {names[0]: LENGTHS["0-99 words"]}, overall=0.5),
    ):
        shown = [text for text in fig.findobj(Text) if any(name in text.get_text() for name in names)]
        assert shown
        assert not any(text.get_parse_math() for text in shown)


@pytest.mark.parametrize(("score", "tick"), [("accuracy", "80%"), ("micro_f1", "80%"), ("r2", "0.8")])
def test_the_score_of_a_training_is_in_percent_if_it_is_a_share(score, tick):
    _, axes = drawn(training_figure, TRAINING, VALIDATION, score=metric_name(score)).axes
    assert axes.yaxis.get_major_formatter()(0.8, None).startswith(tick)


def test_the_training_figure_explains_the_short_epoch():
    loss, accuracy = drawn(training_figure, TRAINING, VALIDATION, short_steps=20, short_tokens=64).axes
    for axes in (loss, accuracy):
        (shade,) = axes.patches
        assert (shade.get_x(), shade.get_width()) == (0, 20)
        assert [text.get_text().split()[0] for text in axes.texts] == ["64", "whole"]
    raw, first, second, validation = loss.lines  # two smoothed lines, so that the jump stays one
    assert raw.get_ydata().tolist() == TRAINING["loss"].tolist()
    assert max(first.get_xdata()) == 20 < min(second.get_xdata())
    assert validation.get_ydata().tolist() == [0.5, 0.3]
    assert len(loss.get_legend().get_texts()) == 3
    (bars,) = accuracy.collections
    assert [segment[:, 1].tolist() for segment in bars.get_segments()] == [[0.75, 0.84], [0.86, 0.93]]


def test_the_training_figure_of_other_recipes():
    """Without a short epoch there is no shade, and the words about a narrow one stand beside it."""
    loss, _ = drawn(training_figure, TRAINING, VALIDATION).axes
    assert not loss.patches
    assert not loss.texts
    assert len(loss.lines) == 3
    assert loss.get_ylabel() == "cross-entropy (nats)"
    loss, _ = drawn(training_figure, TRAINING, VALIDATION, short_steps=4, short_tokens=64).axes
    (words,) = loss.texts
    assert "64 tokens" in words.get_text()
    assert words.get_position()[0] > 4
    loss, _ = drawn(training_figure, TRAINING[:1], VALIDATION[:1], short_steps=20, short_tokens=64).axes
    assert [text.get_text().split()[0] for text in loss.texts] == ["64"]  # it ended in the short epoch


def test_smoothing_by_hand():
    """Of 20 points, the average is over three, and over two at the ends."""
    values = pd.Series([0.0] * 10 + [3.0] * 10)
    assert smoothed(values).tolist() == pytest.approx([0] * 9 + [1, 2] + [3] * 9)
    assert smoothed(pd.Series([1.0, 2.0])).tolist() == [1, 2]


def test_the_coverage_figure_marks_the_threshold():
    (axes,) = drawn(coverage_figure, COVERAGE, above=ABOVE).axes
    (marked,) = (text for text in texts(axes.figure) if "87.0%" in text)
    assert "60.0%" in marked
    assert "89.0%" in marked
    assert axes.lines[-1].get_xydata().tolist()[0][0] == 0.6
    for above in ({"target": 0.95}, {"threshold": 0.99, "coverage": 0.0}):  # none; none that a text reaches
        assert len(drawn(coverage_figure, COVERAGE, above=above).axes[0].lines) == 2


def test_the_reliability_figure():
    """Below the points with their intervals stands the share of the confidences in each of twenty bins."""
    above, below = drawn(reliability_figure, RELIABILITY, CONFIDENCE).axes
    assert [segment[:, 1].tolist() for bars in above.collections for segment in bars.get_segments()] == [[0.7, 0.9]] * 2
    assert [bar.get_height() for bar in below.patches if bar.get_height()] == pytest.approx([0.25, 0.25, 0.5])


def test_a_validation_loss_above_the_training_loss_is_in_the_picture():
    loss, _ = drawn(training_figure, TRAINING, VALIDATION.assign(loss=[0.8, 1.5])).axes
    assert loss.get_ylim()[1] > 1.5


def test_shares_are_percentages():
    training, reliability, coverage, length = (
        drawn(training_figure, TRAINING, VALIDATION).axes,
        drawn(reliability_figure, RELIABILITY, CONFIDENCE).axes,
        drawn(coverage_figure, COVERAGE, above=ABOVE).axes,
        drawn(length_figure, LENGTHS, overall=0.5).axes,
    )
    for axis in (training[1].yaxis, reliability[0].xaxis, reliability[0].yaxis, coverage[0].xaxis, length[0].yaxis):
        assert all(label.get_text().endswith("%") for label in axis.get_ticklabels())


def draw_all(folder) -> None:
    for k in (2, 12, 30):  # two matrices, and bars
        confusion_figure(matrix(k), [f"label number {i}" for i in range(k)], folder / f"confusion-{k}.png")
    training_figure(TRAINING, VALIDATION, folder / "training.png", 20, 64)
    reliability_figure(RELIABILITY, CONFIDENCE, folder / "reliability.png")
    length_figure(LENGTHS, folder / "length.png", overall=0.5)
    coverage_figure(COVERAGE, folder / "coverage.png", ABOVE)


def test_pictures_have_the_same_bytes_every_time(tmp_path, monkeypatch):
    """The settings of a user's matplotlibrc have no effect."""
    from matplotlib import rcParams

    draw_all(tmp_path / "first")
    monkeypatch.setitem(rcParams, "font.size", 20)
    monkeypatch.setitem(rcParams, "savefig.bbox", "tight")
    draw_all(tmp_path / "second")
    pictures = list((tmp_path / "first").iterdir())
    assert len(pictures) == 7
    for path in pictures:
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()


def test_a_picture_is_a_white_card_with_round_corners(tmp_path):
    fig, axes = new_figure(4, 3)
    save_figure(fig, tmp_path / "card.png")
    picture = imread(tmp_path / "card.png")
    assert picture.shape[:2] == (600, 800)
    assert page_width(tmp_path / "card.png") == 400
    assert [picture[y, x, 3] for y in (0, -1) for x in (0, -1)] == [0, 0, 0, 0]
    assert picture[2, 400].tolist() == [1, 1, 1, 1]
    assert axes.spines["bottom"].get_visible()
    assert not axes.spines["top"].get_visible()
