"""Cells of the report's tables."""

import pytest

from classifier.evaluation.tables import percent, share_cell, share_rows


@pytest.mark.parametrize(
    ("share", "decimals", "cell"),
    [(0, 1, "0.0%"), (0.0004, 1, "<0.1%"), (0.0006, 1, "0.1%"), (0.004, 0, "<1%"), (0.006, 0, "1%"), (1, 1, "100.0%")],
)
def test_a_share_above_zero_is_not_shown_as_zero(share, decimals, cell):
    assert percent(share, decimals) == cell


def test_the_rows_of_labels_show_small_shares():
    data = {f"{split}_share_rare": 0.00002 for split in ("train", "validation", "test")}
    assert share_rows(data, ["rare"]) == [["rare", "<0.1%", "<0.1%", "<0.1%"]]
    assert share_cell(0.00002) == "<0.1%"
