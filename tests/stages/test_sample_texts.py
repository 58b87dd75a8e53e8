"""The sample texts of params.yaml and the labels that are expected for them."""

import pytest
from commands import read, refusal, run_stages
from tiny import ROOT, edit_params

from classifier.errors import InputError
from classifier.runner.params import load_params
from classifier.tasks import single_label
from stages.infer import Sample, expected_answers, infer

LABELS = ["negative", "positive"]


def samples(*labels: str | int | None) -> list[Sample]:
    return [Sample(text="a text", label=label) for label in labels]


def expected(of_samples: list[Sample], names: list[str] = LABELS) -> list[str | None]:
    return expected_answers(of_samples, single_label, names)


def test_texts_alone_and_with_a_label(finished):
    texts = ["good film", {"text": "awful plot", "label": "negative"}, {"text": "fine"}]
    edit_params(finished, **{"infer.texts": texts})
    run_stages("infer", "report")
    first, second, third = read("metrics/samples.json")
    assert [sample["text"] for sample in (first, second, third)] == ["good film", "awful plot", "fine"]
    assert second["expected"] == "negative"
    assert "expected" not in first | third
    edit_params(finished, **{"report.texts": False})
    run_stages("infer")
    assert read("metrics/samples.json")[1].keys() == {"label", "confidence", "expected"}


def test_all_samples_as_shipped_have_a_label():
    assert {sample.label for sample in load_params(ROOT / "params.yaml").infer.texts} == set(LABELS)


def test_expected_answers_by_hand(capfd):
    assert expected(samples("positive", None)) == ["positive", None]
    assert expected(samples(None)) == [None]
    assert capfd.readouterr().err == ""
    with pytest.raises(InputError, match=r"infer.texts.1.label: the model has no label 'postive'; did you mean posit"):
        expected(samples("negative", "postive"))
    with pytest.raises(InputError, match=r"no label 'x'; did you mean negative or positive\?"):
        expected(samples("negative", "x"))
    assert expected(samples(1, "0"), ["0", "1"]) == ["1", "0"]
    with pytest.raises(InputError, match=r"infer.texts.1.label: the model has no label 1; did you mean negative or"):
        expected(samples("negative", 1))


def test_labels_of_another_data_set(capfd):
    """The samples of params.yaml stay when another data set is selected; none of their labels is the model's then."""
    assert expected(samples("positive", None, "negative"), ["World", "Sports"]) == [None, None, None]
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("infer: ")


def test_a_label_that_the_model_lacks_is_refused(finished, capfd):
    before = read("metrics/samples.json")
    texts = [{"text": "good film", "label": "positive"}, {"text": "awful plot", "label": "negativ"}]
    edit_params(finished, **{"infer.texts": texts})
    line = refusal(infer, capfd)
    assert line == "params.yaml: infer.texts.1.label: the model has no label 'negativ'; did you mean negative?"
    assert read("metrics/samples.json") == before


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (" ", "infer.texts.0: a text that is not blank is needed, got ' '"),
        (7, "infer.texts.0: should be a text, or `text:` and `label:` lines, got 7"),
        ({"text": ""}, "infer.texts.0.text: a text that is not blank is needed, got ''"),
        ({"label": "positive"}, "infer.texts.0.text: missing key; add it"),
        ({"text": "good", "lable": "positive"}, "infer.texts.0.lable: unknown key; did you mean label?"),
        ({"text": "good", "label": {"a": 1}}, "infer.texts.0.label: should be a label, a list of labels or a number"),
        ({"text": "good", "label": ["a", 1]}, "infer.texts.0.label: should be a label, a list of labels or a number"),
        (
            {"text": "a", "label": True},
            "infer.texts.0.label: should be a label, a list of labels or a number, got True",
        ),
    ],
)
def test_malformed_samples_are_refused(project, entry, line):
    edit_params(project, **{"infer.texts": [entry]})
    with pytest.raises(InputError) as error:
        load_params()
    assert str(error.value) == f"params.yaml: {line}"
