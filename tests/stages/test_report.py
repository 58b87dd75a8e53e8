"""The report as GitHub or GitLab would show it, and its pictures."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import read, run_stages
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from matplotlib.image import imread
from matplotlib.text import Text
from tiny import ROOT, edit_params
from transformers import AutoConfig

from apps.export import model_card
from classifier.evaluation.figures import (
    confusion_figure,
    coverage_figure,
    length_figure,
    reliability_figure,
    training_figure,
)
from classifier.evaluation.intervals import wilson_interval
from classifier.evaluation.markdown import verbatim
from classifier.files.formats import read_table, write_csv, write_json, write_table
from classifier.files.places import ADAPTER, DOUBTFUL, PREDICTIONS
from classifier.runner.params import arguments, load_params
from stages.report import accuracy_by_length, confident_mistakes, report

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
PARAMS = load_params(ROOT / "params.yaml")


def report_again(**changes) -> str:
    """Write the report with settings, a method or a recipe that differ from params.yaml's, and return it as HTML."""
    values = arguments(report, load_params())
    values |= {name: changes.pop(name) for name in ("method", "train") if name in changes}
    report(**values | {"settings": values["settings"].model_copy(update=changes)})
    return MARKDOWN.render(Path("metrics/report.md").read_text())


def rows(html: str) -> list[list[str]]:
    """Return the cells of each row of all tables."""
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)]


def test_report_of_a_run(finished):
    text = Path("metrics/report.md").read_text()
    html = MARKDOWN.render(text)
    table, evaluation = rows(html), read("metrics/evaluate.json")
    assert ["accuracy", f"{evaluation['accuracy']:.1%}", f"{evaluation['baseline_accuracy']:.1%}"] in table
    assert ["F1, positive", f"{evaluation['f1']:.1%}", ""] in table
    counts = pd.read_csv("metrics/confusion.csv").pivot(index="actual", columns="predicted", values="count")
    for actual in counts.index:
        assert [actual, *counts.loc[actual].astype(str)] in table
    for sample in read("metrics/samples.json"):
        assert [sample["text"], sample["label"], f"{sample['confidence']:.1%}"] in table
    pictures = re.findall(r'<img src="([^"]+)"', html)
    assert pictures == ["training.png", "confusion.png", "reliability.png", "coverage.png", "length.png"]
    for name in pictures:
        assert Path("metrics", name).read_bytes().startswith(b"\x89PNG")
    paragraphs = re.findall(r"<p>(.*?)</p>", html, re.DOTALL)
    assert [paragraph for paragraph in paragraphs if "\n" in paragraph] == []  # a paragraph is one line
    assert "| " not in re.sub(r"<table>.*?</table>", "", html, flags=re.DOTALL)  # no table is broken
    assert "\n\n\n" not in text


@pytest.mark.parametrize(
    ("explained", "mistakes"), [(0, "no mistake"), (1, "the 1 most confident mistakes"), (2, None)]
)
def test_which_mistakes_have_deciding_words(finished, explained, mistakes):
    predictions, metadata = read_table(PREDICTIONS)
    predictions["predicted"] = 1 - predictions["label"]
    first = predictions.nlargest(explained, "confidence").index
    predictions["decided_by"] = ["**a** +1.0" if row in first else "" for row in predictions.index]
    write_table(PREDICTIONS, predictions, labels=metadata["labels"])
    html = report_again(mistakes=2)
    sentence = f"The deciding words were computed for {mistakes} (<code>evaluate.explained</code>)."
    assert sentence in html if mistakes else "were computed for" not in html


def test_the_origin_of_the_test_texts(finished):
    """The test split is the official one, a sample of it, or held out of the training split."""
    official = {"official_test": True, "test": 20_000, "train_texts_in_test_dropped": 7, "test_texts_in_train": 7}
    sample, whole = (official | {"test_available": count} for count in (400_000, 20_000))
    data, evaluation = read("metrics/data.json"), read("metrics/evaluate.json")
    for changes, in_report, in_card in (
        (sample, "The test texts are a stratified sample of 20,000 of the 400,000 texts of the official test split of",
         "test texts, a stratified sample of the 400,000 texts of the official test split."),
        (whole, "The test texts are the official test split of the data set.", "test texts, the official test split."),
        ({}, "not the official test split", "not the official test split"),
    ):  # fmt: skip
        write_json(Path("metrics/data.json"), data | changes)
        report_again()
        card = model_card(AutoConfig.from_pretrained(ADAPTER), evaluation, data | changes)
        for text, expected in ((Path("metrics/report.md").read_text(), in_report), (card, in_card)):
            assert expected in text
            assert ("accuracy on new sources can be lower" in text) == (not changes)


def test_settings_of_every_method(finished, monkeypatch):
    """The report shows what distinguishes the methods of the catalogue, and no setting that peft does not use."""
    for figure in ("training_figure", "reliability_figure", "coverage_figure", "length_figure"):
        monkeypatch.setattr(f"stages.report.{figure}", lambda *args: None)
    path, shown = Path("models/adapter/adapter_config.json"), {}
    for name, method in PARAMS.methods.items():
        path.unlink(missing_ok=True)  # a link into DVC's cache
        if isinstance(method.peft, dict):  # peft also saves an r for AdaLoRA
            saved = {"modules_to_save": ["classifier", "pooler", "classifier", "score"]}  # as peft saves it
            write_json(path, {"r": 8, "target_modules": ["key", "value"]} | method.peft | saved)
        table = [row for row in rows(report_again(method=method)) if len(row) == 2]
        names = [setting for setting, _ in table]
        shown[name] = dict(table[names.index("method") + 1 : names.index("trainable parameters")])
        peft = {} if isinstance(method.peft, str) else method.peft
        stated = {key: str(value) for key, value in peft.items() if key not in ("peft_type", "modules_to_save")}
        assert stated.items() <= shown[name].items()
        assert shown[name].get("modules_to_save", "classifier, pooler") == "classifier, pooler"
    assert shown["full"] == shown["head"] == {}
    assert len({tuple(settings.items()) for settings in shown.values()}) == len(PARAMS.methods) - 2
    assert shown["prefix"] == shown["prompt"]  # both have one setting; the type of the method distinguishes them
    adalora = {"init_r": "48", "target_r": "32", "lora_alpha": "32", "target_modules": "key, value"}
    assert shown["adalora"] == adalora | {"modules_to_save": "classifier, pooler"}
    assert shown["loraplus"]["loraplus_lr_ratio"] == "16.0"


def test_accuracy_by_length():
    """Two reviews are short, and one of them is right; a third one has 300 words and is right."""
    table = pd.DataFrame({"text": ["a b", "a", "a " * 300], "label": [0, 1, 1], "predicted": [0, 0, 1]})
    short, long = accuracy_by_length(table).to_dict("records")
    assert (short["words"], short["count"], short["accuracy"]) == ("0-99", 2, 0.5)
    assert (long["words"], long["count"], long["accuracy"]) == ("300-499", 1, 1.0)
    assert (short["low"], short["high"]) == wilson_interval(1, 2)
    assert (long["low"], long["high"]) == wilson_interval(1, 1)


def test_the_most_confident_mistakes_come_first():
    table = pd.DataFrame(
        {
            "text": ["right", "unsure", "word " * 100, "a|b\n<br>"],
            "label": [0, 0, 1, 1],
            "predicted": [0, 1, 0, 0],
            "confidence": [0.99, 0.6, 0.8, 0.9],
        }
    )
    assert [row["confidence"] for row in confident_mistakes(table, 2)] == [0.9, 0.8]


# Letters, characters that have a meaning in Markdown or HTML, and white space of all kinds, which becomes spaces.
@given(st.text(st.sampled_from("ab1ß好 \n\t\\`*_{}[]()<>#+-.!|~$&;:/@=\"'")))
@example("![x](https://example.org/x.png) [a](b) <https://example.org> https://example.org www.example.org")
@example("**a** _b_ __c__ a_b ~~c~~ ``d`` <script>e</script> <!-- f --> &amp; &#42; $5_or_$6")
@example("# a\n\n- b\n\n    c\n---\n| d | e \\| f \\\\| g \\")
def test_any_text_is_shown_verbatim(text):
    table = f"| text | n |\n|---|---|\n| {verbatim(text)} | 1 |\n"
    *_, shown, number = [token for token in MARKDOWN.parse(table) if token.type == "inline"]
    for inline in (shown, *MARKDOWN.parseInline(f"as {verbatim(text)} or")):
        assert {token.type for token in inline.children} <= {"text"}
    assert "".join(token.content for token in shown.children).split() == text.split()
    assert number.content == "1"


def test_the_report_names_optional_settings_in_use(finished):
    """Weights of the labels, the step whose weights are kept, and corrections stand in it only if they are used."""
    text = Path("metrics/report.md").read_text()
    for word in ("weights of the labels", "weights kept", "chose the step", "By hand"):
        assert word not in text
    params, evaluation = load_params(), read("metrics/evaluate.json")
    recipe = params.train.model_copy(update={"keep": "best", "class_weights": {"positive": 2.0}})
    data = {"labels_corrected": 3, "texts_dropped_by_hand": 2, "corrections_of_texts_not_in_train": 1}
    write_json(Path("metrics/data.json"), read("metrics/data.json") | data)
    html = report_again(train=recipe)
    table = rows(html)
    assert ["weights of the labels in the loss", "positive 2.0, 1 for others"] in table
    kept = read("metrics/training.json")["kept_step"]
    assert ["weights kept", f"of step {kept}, whose validation loss was lowest"] in table
    assert "The validation texts chose the step" in html
    assert "By hand, 3 labels of train texts were corrected and 2 train texts were dropped." in html
    assert "Corrections of texts that are not in train: 1." in html
    above = {"target": 0.95, "level": 0.05, "validation_texts_needed": 60}
    write_json(Path("metrics/evaluate.json"), evaluation | {"above_threshold": above})
    recipe = recipe.model_copy(update={"class_weights": "balanced"})
    table = rows(report_again(train=recipe))
    assert ["weights of the labels in the loss", "balanced"] in table
    assert "no confidence above which 95.0% of the answers are right" in Path("metrics/report.md").read_text()
    for name, row in evaluation["labels"].items():
        shown = [row[key] for key in ("precision", "recall", "f1")]
        shown += [row[f"baseline_{key}"] for key in ("precision", "recall", "f1")]
        assert any(cells[0] == name and cells[4:] == [f"{value:.1%}" for value in shown] for cells in table if cells)


def test_the_report_names_what_few_texts_cannot_show(finished):
    sentences = (
        "too few texts for a narrower interval",
        "too few to tell whether the probabilities are correct",
        "at least 72 are needed",
    )
    evaluation = read("metrics/evaluate.json")
    enough = {"accuracy_low": 0.9, "accuracy_high": 0.93, "ece": 0.01, "ece_by_chance": 0.02}
    few = {"accuracy_low": 0.7, "accuracy_high": 0.9, "ece": 0.05, "ece_by_chance": 0.1}
    above = {"target": 0.95, "level": 0.05, "validation_texts_needed": 72}  # there are 60
    write_json(Path("metrics/evaluate.json"), evaluation | enough)
    html = report_again()
    assert [sentence in html for sentence in sentences] == [False, False, False]
    assert "up to 0.0200 in 95 of 100 cases. The error after the calibration is not larger" in html
    write_json(Path("metrics/evaluate.json"), evaluation | few | {"above_threshold": above})
    html = report_again()
    assert [sentence in html for sentence in sentences] == [True, True, True]
    write_json(Path("metrics/evaluate.json"), evaluation | few | {"ece": 0.2})
    assert "is larger, so the probabilities are not quite correct" in report_again()


def test_the_report_of_a_training_that_ended_early(finished):
    """It has the number of epochs that were trained, not the number that was planned."""
    steps = read("metrics/training.json")["steps"]
    done = {"steps": 7, "short_epochs": 0.7, "epochs": 0.35}
    write_json(Path("metrics/training.json"), read("metrics/training.json") | done)
    recipe = load_params().train.model_copy(update={"short_epoch": 8})
    html = report_again(train=recipe)
    epochs = f"0.35, after 0.7 with 8 tokens of each text (7 of {steps} planned steps in all)"
    assert ["epochs", epochs] in rows(html)
    assert "for 0.35 epochs after a short one; " in html
    write_json(Path("metrics/training.json"), read("metrics/training.json") | {"short_epochs": 0.7, "epochs": 0})
    assert "for 0.7 short epochs; " in report_again(train=recipe)


def test_the_report_names_texts_with_several_labels(finished):
    assert "several labels" not in Path("metrics/report.md").read_text()
    data = read("metrics/data.json")
    write_json(Path("metrics/data.json"), data | {"conflicting_texts": 1200})
    sentences = "1,200 texts have several labels in the source. In train and validation, the first row of such a text"
    assert sentences in report_again()
    more = {"conflicting_texts": 3, "conflicting_texts_in_test": 2, "conflicting_rows_dropped": 4}
    write_json(Path("metrics/data.json"), data | more)
    html = report_again()
    assert "3 texts have several labels in the source. 4 rows were left out of train and validation" in html
    assert "2 of these texts stand in the official test split" in html


def test_without_report_texts_no_text_reaches_git(finished):
    """Then no file in metrics/ has a text of the data set or of infer.texts, or a word that decided a label."""
    edit_params(finished, **{"report.texts": False, "report.doubtful": 50, "report.mistakes": 50})
    shown = "\n".join(path.read_text() for path in Path("metrics").glob("*.*") if path.suffix != ".png")
    raw = pd.concat([pd.read_parquet(path) for path in Path("data/raw").iterdir()])["text"]
    assert any(text in shown for text in raw)
    assert "fantastic" in shown
    predictions, metadata = read_table(PREDICTIONS)
    predictions["predicted"], predictions["decided_by"] = 1 - predictions["label"], "wonderful +1.2"
    PREDICTIONS.unlink()
    write_table(PREDICTIONS, predictions, **metadata)
    DOUBTFUL.unlink()
    row = {"hash": "0" * 32, "label": "negative", "predicted": "positive", "probability": 0.1, "text": raw.iloc[0]}
    write_csv(DOUBTFUL, pd.DataFrame([row]))
    run_stages("infer", "report")
    files = [path for path in Path("metrics").rglob("*") if path.suffix != ".png"]
    assert {path.suffix for path in files} == {".json", ".csv", ".md"}
    shown = "\n".join(path.read_text() for path in files)
    assert [text for text in raw if text in shown] == []
    assert [text for text in load_params().infer.texts if text[:30] in shown] == []
    assert "wonderful" not in shown
    table = rows(MARKDOWN.render(Path("metrics/report.md").read_text()))
    most_confident = predictions["confidence"].nlargest(1).index[0] + 1
    assert [str(most_confident), "negative", "positive"] in [row[:3] for row in table] or [
        str(most_confident), "positive", "negative",
    ] in [row[:3] for row in table]  # fmt: skip
    assert ["0" * 32, "negative", "positive", "10.0%"] in table
    assert [row[:2] for row in table if row[0] == "1"]


def test_labels_and_texts_are_shown_verbatim(finished):
    labels, text = ["a|b", "![x](https://example.org/x.png) `*c*`"], f"![x](https://example.org/{'好' * 200}"
    predictions, _ = read_table(PREDICTIONS)
    PREDICTIONS.unlink()  # a link into DVC's cache
    predicted = 1 - predictions["label"]
    write_table(PREDICTIONS, predictions.assign(text=text, predicted=predicted), labels=labels)
    names = dict(zip(["negative", "positive"], labels, strict=True))
    data = {
        re.sub("negative|positive", lambda name: names[name[0]], key): value
        for key, value in read("metrics/data.json").items()
    }
    write_json(Path("metrics/data.json"), data)
    write_csv(Path("metrics/confusion.csv"), pd.read_csv("metrics/confusion.csv").replace(names))
    DOUBTFUL.unlink()
    row = {"hash": "0" * 32, "label": labels[0], "predicted": labels[1], "probability": 0.1, "text": text}
    write_csv(DOUBTFUL, pd.DataFrame([row]))
    evaluation = read("metrics/evaluate.json")
    by_label = {names[name]: row for name, row in evaluation["labels"].items()}
    write_json(Path("metrics/evaluate.json"), evaluation | {"labels": by_label})
    html = report_again()
    table, shown = rows(html), [escapeHtml(label) for label in labels]
    assert html.count("<img") == 5  # the pictures
    assert ["split", "texts", *shown] in table
    assert ["actual \\ predicted", *shown] in table
    assert {row[0] for row in table} >= {*shown, f"precision, {shown[1]}"}
    (mistake, *_) = (row for row in table if row[0].startswith("![x](https://example.org/好"))
    assert mistake[0] == f"{text[:159]}…"
    assert set(mistake[1:3]) == set(shown)
    assert any(row[0] == mistake[0] and len(row) == 4 and set(row[1:3]) == set(shown) for row in table)  # doubtful
    assert [row[0] for row in table if len(row) == 10][1:] == shown  # metrics by label
    config = AutoConfig.from_pretrained(ADAPTER, id2label=dict(enumerate(labels)))
    card = MARKDOWN.render(model_card(config, read("metrics/evaluate.json"), read("metrics/data.json")))
    assert f"A classifier of texts as {shown[0]} or {shown[1]}: " in card


def test_pictures_draw_labels_verbatim(tmp_path, monkeypatch):
    """A dollar sign in a label starts no formula."""
    names, figures = ["$5_or_$6", "$a$"], []
    monkeypatch.setattr("classifier.evaluation.figures.save_figure", lambda fig, path: figures.append(fig))
    scores = pd.DataFrame({"accuracy": 0.5, "confidence": 0.5, "low": 0.1, "high": 0.9, "sum": 1, "count": 2}, [0, 1])
    confusion_figure(np.eye(2, dtype=int), names, tmp_path)
    reliability_figure(scores.assign(calibration=names), tmp_path)
    length_figure(scores.assign(words=names), tmp_path)
    assert len(figures) == 3
    for fig in figures:
        fig.savefig(tmp_path / "figure.png")
        shown = [text for text in fig.findobj(Text) if any(name in text.get_text() for name in names)]
        assert len(shown) >= 2
        assert not any(text.get_parse_math() for text in shown)


def test_a_confusion_matrix_of_many_labels_is_no_larger(tmp_path):
    sizes = []
    for k in (30, 120):
        confusion_figure(np.eye(k, dtype=int), [f"label {i:03}" for i in range(k)], tmp_path / "confusion.png")
        sizes.append(imread(tmp_path / "confusion.png").shape)
    assert sizes[1] == pytest.approx(sizes[0], rel=0.05)


@pytest.mark.parametrize("k", [2, 12])
def test_pictures_have_the_same_bytes_every_time(tmp_path, k):
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 50, (k, k)) + np.eye(k, dtype=int)
    training = pd.DataFrame({"step": [1, 2, 3], "loss": [0.7, 0.5, 0.2]})
    validation = pd.DataFrame({"step": [3], "loss": [0.4], "accuracy": [0.9]})
    reliability = pd.DataFrame(
        {"calibration": ["before", "after"], "confidence": [0.9, 0.8], "accuracy": [0.8, 0.8], "count": [5, 5]}
    )
    lengths = pd.DataFrame(
        {"words": ["0-99"], "accuracy": [0.5], "low": [0.1], "high": [0.9], "sum": [1], "count": [2]}
    )
    coverage = pd.DataFrame({"coverage": [0.5, 1], "accuracy": [0.9, 0.8], "confidence": [0.8, 0.5]})
    for folder in ("first", "second"):
        confusion_figure(counts, [f"label number {i}" for i in range(k)], tmp_path / folder / "confusion.png")
        training_figure(training, validation, tmp_path / folder / "training.png")
        reliability_figure(reliability, tmp_path / folder / "reliability.png")
        length_figure(lengths, tmp_path / folder / "length.png")
        coverage_figure(coverage, tmp_path / folder / "coverage.png")
    pictures = list((tmp_path / "first").iterdir())
    assert len(pictures) == 5
    for path in pictures:
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()
