"""The gate: intervals worked by hand, and which forms pass."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from classifier.errors import InputError
from classifier.evaluation.tasks.task import MEASURES
from classifier.export.gate import Difference, differences, in_words, passes


def values(right: list[bool], losses: list[float]) -> dict[str, pd.Series]:
    """Return the values of texts as `paired_values` of single labels does."""
    return {"accuracy": pd.Series(right), "log_loss": pd.Series(losses)}


def equal(texts: int) -> dict[str, pd.Series]:
    """Return values of texts that are all right."""
    return values([True] * texts, [0.1] * texts)


def test_the_difference_in_accuracy_by_hand():
    """Of 98 texts, fp32 alone has 3 right and the form alone 1. Agresti and Min add half a text to the four cells.

    So of 100 texts 3.5 are lost and 1.5 won: the difference is -0.02 and its variance (5 - 100 * 0.02**2) / 100**2.
    """
    fp32 = values([True] * 3 + [False] * 1 + [True] * 90 + [False] * 4, [0.1] * 98)
    form = values([False] * 3 + [True] * 1 + [True] * 90 + [False] * 4, [0.1] * 98)
    found = differences(fp32, form)["accuracy"]
    half = 1.959964 * (4.96 / 100**2) ** 0.5
    assert found.mean == pytest.approx(-2 / 98)
    assert (found.low, found.high) == pytest.approx((-0.02 - half, -0.02 + half), abs=1e-6)
    assert found.possible_loss == pytest.approx(0.02 + half, abs=1e-6)
    reverse = differences(form, fp32)["accuracy"]
    assert (reverse.low, reverse.high) == pytest.approx((-found.high, -found.low))


def test_the_difference_in_log_loss_by_hand():
    """The losses rise by 1, 2 and 3: mean 2, standard deviation 1, and Student's t with two degrees of freedom."""
    found = differences(values([True] * 3, [1.0, 1.0, 1.0]), values([True] * 3, [2.0, 3.0, 4.0]))["log_loss"]
    half = 4.302653 / 3**0.5
    assert (found.mean, found.low, found.high) == pytest.approx((2, 2 - half, 2 + half), abs=1e-5)
    assert found.possible_loss == found.high


def test_equal_answers_pass_if_there_are_enough_texts():
    """The bound of equal answers is 1.95996 / (n + 2): at most 0.01 for 194 texts, and above it for 193."""
    for texts, passed in ((20, False), (193, False), (194, True), (1000, True)):
        found = differences(equal(texts), equal(texts))
        assert found["accuracy"].possible_loss == pytest.approx(1.959964 / (texts + 2), abs=1e-6)
        assert found["log_loss"] == Difference(0.0, 0.0, 0.0, higher_is_better=False)
        assert passes(found, 0.01) == passed
        assert passes(found, 1.0)


@pytest.mark.parametrize("task", ["single-label", "ordinal"])
def test_labels_that_flip_are_refused(task):
    """The form gives 30 of 1,000 texts another label, as little confident as fp32: its log loss is nearly the same."""
    label = np.arange(1000) % 2
    fp32 = pd.DataFrame({"label": label, "predicted": label, "probability_1": 0.49 + 0.02 * label})
    form = fp32.assign(predicted=np.where(np.arange(1000) < 30, 1 - label, label))
    form.loc[:29, "probability_1"] = 0.51 - 0.02 * label[:30]
    first, second = (
        MEASURES[task].paired_values(table.assign(probability_0=1 - table["probability_1"]), ["0", "1"])
        for table in (fp32, form)
    )
    found = differences(first, second)
    assert [*found] == ["accuracy", "log_loss"]
    assert found["log_loss"].possible_loss < 0.01 < 0.03 < found["accuracy"].possible_loss
    assert not passes(found, 0.01)
    words = in_words(found, 1000, 0.01)
    assert words.startswith(
        "difference to fp32 on 1,000 validation texts: accuracy -0.0300 (-0.0407 to -0.0192), log loss +0"
    )
    assert words.endswith("; accuracy may be worse by more than export.tolerance, 0.01")
    assert passes(differences(second, first), 0.01)  # a better form


def test_the_log_loss_alone_can_refuse():
    """No answer changes, but the right labels lose probability."""
    fp32 = values([True] * 1000, [0.1] * 1000)
    form = values([True] * 1000, [0.11, 0.13] * 500)
    found = differences(fp32, form)
    assert passes({"accuracy": found["accuracy"]}, 0.01)
    assert found["log_loss"].mean == pytest.approx(0.02)
    assert not passes(found, 0.01)
    assert passes(found, 0.03)
    assert in_words(found, 1000, 0.01).endswith("; log loss may be worse by more than export.tolerance, 0.01")
    assert "export.tolerance" not in in_words(found, 1000, 0.03)


def test_errors_of_numbers_are_relative():
    """The same errors in dollars and in cents pass alike: 1% more of 2 dollars is 0.02 dollars or 2 cents."""
    rng = np.random.default_rng(0)
    label = rng.normal(100, 20, 500)
    errors = 2 + rng.uniform(-0.1, 0.1, 500)
    results = []
    for unit in (1, 100):
        fp32, form = (
            MEASURES["regression"].paired_values(
                pd.DataFrame({"label": unit * label, "predicted": unit * (label + factor * errors)}), ["price"]
            )
            for factor in (1, 1.01)
        )
        results.append(differences(fp32, form))
    cheap, dear = results
    assert [*cheap] == ["absolute_error", "squared_error"]
    assert cheap["absolute_error"].mean == pytest.approx(0.01)
    assert cheap["squared_error"].mean == pytest.approx(1.01**2 - 1)
    for name in cheap:
        assert vars(cheap[name]) == pytest.approx(vars(dear[name]))
    assert passes(cheap, 0.03)
    assert not passes(cheap, 0.015)


def test_errors_of_a_perfect_model():
    """The mean error in fp32 is 0, by which no error can be divided: the errors are compared as they are."""
    found = differences({"absolute_error": pd.Series([0.0] * 8)}, {"absolute_error": pd.Series([0.4, 0.6] * 4)})
    assert found["absolute_error"].mean == pytest.approx(0.5)


def test_several_labels_a_text():
    """Subset accuracy, and the mean log loss of the labels of a text."""
    label = [[1, 0, 1], [0, 0, 1]] * 100
    shares = {"a": [0.9, 0.2] * 100, "b": [0.1, 0.2] * 100, "c": [0.8, 0.7] * 100}
    columns = {f"probability_{name}": values for name, values in shares.items()}
    fp32 = pd.DataFrame({"label": label, "predicted": label, **columns})
    form = pd.DataFrame({"label": label, "predicted": [[1, 0, 1], [0, 1, 1]] * 100, **columns})
    form["probability_b"] = [0.1, 0.5] * 100
    found = differences(*(MEASURES["multi-label"].paired_values(table, ["a", "b", "c"]) for table in (fp32, form)))
    assert [*found] == ["subset_accuracy", "log_loss"]
    assert found["subset_accuracy"].mean == -0.5
    change = np.log(0.8 / 0.5) / 3  # of every second text
    assert found["log_loss"].mean == pytest.approx(change / 2)
    half = t.ppf(0.975, 199) * change / 2 * (200 / 199) ** 0.5 / 200**0.5
    assert found["log_loss"].high == pytest.approx(change / 2 + half)


def test_one_text_tells_nothing():
    with pytest.raises(InputError, match="a validation or test split of one text cannot show how a form differs"):
        differences(equal(1), equal(1))
