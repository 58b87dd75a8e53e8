"""What the report says about the settings, the data and few texts."""

from pathlib import Path

from commands import read
from exports import card_of
from report_page import check_markdown, report_again, rows
from tiny import ROOT
from transformers import AutoConfig

from classifier.files.formats import write_json
from classifier.files.places import ADAPTER
from classifier.runner.params import load_params

PARAMS = load_params(ROOT / "params.yaml")


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
        card = card_of(AutoConfig.from_pretrained(ADAPTER), evaluation, data | changes)
        for text, expected in ((Path("metrics/report.md").read_text(), in_report), (card, in_card)):
            assert expected in text
            assert ("results on new sources can be worse" in text) == (not changes)


def test_settings_of_every_method(finished, monkeypatch):
    """The report shows what distinguishes the methods of the catalogue, and no setting that peft does not use."""
    for module, figures in {
        "stages.report": ("training_figure", "length_figure"),
        "classifier.evaluation.tasks.single_label": ("reliability_figure", "coverage_figure"),
    }.items():
        for figure in figures:
            monkeypatch.setattr(f"{module}.{figure}", lambda *args, **words: None)
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
        assert shown[name].get("modules_to_save", "the head, pooler") == "the head, pooler"
    assert shown["full"] == shown["head"] == {}
    assert len({tuple(settings.items()) for settings in shown.values()}) == len(PARAMS.methods) - 2
    assert shown["prefix"] == shown["prompt"]  # both have one setting; the type of the method distinguishes them
    adalora = {"init_r": "48", "target_r": "32", "lora_alpha": "32", "target_modules": "key, value"}
    assert shown["adalora"] == adalora | {"modules_to_save": "the head, pooler"}
    assert shown["loraplus"]["loraplus_lr_ratio"] == "16.0"


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
        "80 test texts are too few: the 95% interval of the accuracy is 20.0 points",
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
    assert "up to 0.0200 in 95 of 100 cases. The ECE after the calibration is not larger" in html
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
    assert load_params().train.short_epoch is None  # and so the picture of the run has no shade


def test_the_report_names_rows_that_the_entry_left_out(finished):
    text = Path("metrics/report.md").read_text()
    assert "left out" not in text
    assert "No `group` is set" in text
    counts = {"empty_rows_dropped": 4, "groups": 250}
    write_json(Path("metrics/data.json"), read("metrics/data.json") | counts)
    report_again()
    text = Path("metrics/report.md").read_text()
    check_markdown(text)
    card = card_of(AutoConfig.from_pretrained(ADAPTER), read("metrics/evaluate.json"), read("metrics/data.json"))
    assert "No group of the train texts is among them" in card
    assert "reviews of" not in card + text
    sentences = "Rows of the source that were left out: 4 without a text. The rows form 250 groups,"
    assert f" duplicates were dropped before the split.\n\n{sentences}" in text
    assert "No `group` is set" not in text


def test_the_report_names_texts_with_several_labels(finished):
    assert "several labels" not in Path("metrics/report.md").read_text()
    data = read("metrics/data.json")
    write_json(Path("metrics/data.json"), data | {"conflicting_texts": 1200})
    sentences = (
        "1,200 texts occur with different labels in the source. In train and validation, the first row of such a text"
    )
    assert sentences in report_again()
    more = {"conflicting_texts": 3, "conflicting_texts_in_test": 2, "conflicting_rows_dropped": 4}
    write_json(Path("metrics/data.json"), data | more)
    html = report_again()
    assert "3 texts occur with different labels in the source. 4 rows were left out of train and validation" in html
    assert "2 of these texts stand in the official test split" in html
