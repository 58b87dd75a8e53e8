"""The pipeline from end to end on texts with several labels, numbers and ratings, which the words of a text tell."""

import json
import random
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from commands import contents, dvc, flat, infer_command, predict, read, refusal, run_stages, stages_run
from conftest import enter, made_once
from killing import locked, repro_until
from report_page import check_markdown
from safetensors.numpy import load_file
from tiny import NEGATIVE, POSITIVE, edit_params, make_project

from classifier.errors import InputError
from classifier.files.formats import array_of, read_table
from classifier.text.duplicates import text_hash
from stages.data import data

LABELS = ["good", "film", "plot"]
SUBJECTS = {"film": ["film", "movie", "actor"], "plot": ["plot", "scene", "long"]}
OTHER = ["the", "a", "was", "and", "it", "i", "this", "not", "too"]
GOOD, BAD = "great fun good loved this film movie actor", "boring awful dull and poor it was"
TASKS = {"multi-label": {"labels": LABELS}, "regression": {}, "ordinal": {"range": [1, 5]}}
SAMPLES = {"multi-label": (["good", "film"], []), "regression": (18.0, 2.0), "ordinal": (5, 1)}
# With which settings the random encoder learns; one of the projects keeps the weights of the best step.
SETTINGS = {
    "multi-label": {"train.epochs": 12},
    "regression": {"train.epochs": 4, "train.keep": "best"},
    "ordinal": {"train.epochs": 4},
}
# The headline, and what the classifier must reach. Guessing gives a micro F1 of 0.7, an R² of 0 and a kappa of 0.
REACHED = {"multi-label": ("micro_f1", 0.82), "regression": ("r2", 0.6), "ordinal": ("quadratic_kappa", 0.6)}


def rows(task: str, count: int = 360) -> pd.DataFrame:
    """Texts with up to four words of praise or blame, up to two subjects and some other words."""
    rng, labels = random.Random(0), {}
    while len(labels) < count:
        opinion, strength = rng.choice([POSITIVE, NEGATIVE]), rng.randint(1, 4)
        subjects = [name for name in SUBJECTS if rng.random() < 0.5]
        words = rng.choices(OTHER, k=rng.randint(2, 6)) + rng.choices(opinion, k=strength)
        words += [word for name in subjects for word in rng.choices(SUBJECTS[name], k=3)]
        rng.shuffle(words)
        score = strength if opinion is POSITIVE else -strength
        labels[" ".join(words)] = {
            "multi-label": ["good"] * (score > 0) + subjects,
            "regression": 10 + 2.0 * score,
            "ordinal": 1 + sum(score > bound for bound in (-3, 0, 1, 3)),
        }[task]
    return pd.DataFrame({"text": [*labels], "label": [*labels.values()]})


@pytest.fixture(scope="session")
def finished_tasks(tmp_path_factory, site):
    """A function from a task to its finished project, which tests copy and never change."""

    def finished(task: str) -> Path:
        def finish(folder: Path) -> None:
            project = folder / "project"
            make_project(project, site)
            with pytest.MonkeyPatch.context() as monkeypatch:
                enter(project, site, monkeypatch)
                rows(task).to_json(project / "data/local/a.jsonl", orient="records", lines=True)
                samples = [
                    {"text": text, "label": label} for text, label in zip((GOOD, BAD), SAMPLES[task], strict=True)
                ]
                entry = {"source": {"train": "a.jsonl"}, "validation": 80, "test": 80, "task": task, **TASKS[task]}
                changes = {"datasets.mine": entry, "dataset": "mine", "infer.texts": samples, "tokenize.windows": 2}
                changes["evaluate.explained"] = 3
                edit_params(project, **changes, **SETTINGS[task])
                dvc("repro")

        return made_once(tmp_path_factory, f"finished-{task}", finish) / "project"

    return finished


@pytest.fixture(params=TASKS)
def finished(request, finished_tasks, tmp_path, site, monkeypatch) -> tuple[str, Path]:
    """(the task, a copy of its finished project; the current folder)"""
    task, project = request.param, tmp_path / "project"
    shutil.copytree(finished_tasks(task), project, symlinks=True)
    enter(project, site, monkeypatch)
    return task, project


def test_the_results(finished):
    task, _ = finished
    (headline, least), result, about = REACHED[task], read("metrics/evaluate.json"), read("metrics/data.json")
    assert result[headline] > least
    assert result["n"] == about["test"] == 80
    assert (about["train"], about["validation"]) == (200, 80)
    common = {"difference", "difference_low", "difference_high"}
    assert (
        result.keys()
        > common
        | {
            "multi-label": {"micro_f1_low", "macro_f1", "mean_average_precision", "subset_accuracy", "ece", "labels"},
            "regression": {"rmse", "rmse_low", "mae", "pearson", "spearman", "interval_coverage", "interval_width"},
            "ordinal": {"quadratic_kappa_low", "mae", "mae_expected", "accuracy", "macro_f1", "log_loss", "labels"},
        }[task]
    )
    raw, metadata = read_table(Path("data/raw/test.parquet"))
    assert metadata["task"] == task
    predictions, _ = read_table(Path("data/predictions.parquet"))
    labels, predicted = array_of(predictions["label"]), array_of(predictions["predicted"])
    assert labels.tolist() == array_of(raw["label"]).tolist()
    assert labels.shape == predicted.shape
    if task == "regression":
        assert 0.7 < result["interval_coverage"] <= 1
        assert about["test_mean"] == pytest.approx(labels.mean(), rel=1e-5)
        curve = pd.read_csv("metrics/validation.csv")
        assert read("metrics/training.json")["kept_step"] == curve["step"][curve["loss"].idxmin()]
    else:
        name = LABELS[0] if task == "multi-label" else "5"
        has = labels[:, 0] if task == "multi-label" else labels == 4
        assert about[f"test_share_{name}"] == pytest.approx(has.mean(), abs=1e-4)


def test_the_report(finished):
    task, _ = finished
    text = Path("metrics/report.md").read_text()
    check_markdown(text.replace("## The largest errors", "## The most confident mistakes"))
    assert not re.search(r"\b(nan|NaN|None|inf|undefined)\b", text)
    title = {"multi-label": "micro F1", "regression": "root mean square error", "ordinal": "quadratic kappa"}[task]
    assert text.startswith(f"# mine: {title} ")
    samples = read("metrics/samples.json")
    assert [sample["text"] for sample in samples] == [GOOD, BAD]
    expected = [sorted(s["expected"]) if task == "multi-label" else s["expected"] for s in samples]
    assert expected == [sorted(s) if task == "multi-label" else s for s in SAMPLES[task]]
    for picture in ("training", "confusion", "reliability", "coverage", "length"):
        assert Path(f"metrics/{picture}.png").read_bytes().startswith(b"\x89PNG")


def test_the_plots_are_shown_and_nothing_runs_again(finished):
    plots = json.loads(dvc("plots", "show", "--json"))
    assert plots.get("errors", []) == []
    assert len(plots["data"]) > 5
    assert stages_run(dvc("repro")) == []


ANSWERS = {
    "multi-label": ["labels", "confidences"],
    "regression": ["value", "low", "high"],
    "ordinal": ["rating", "confidence", "expected_value"],
}


def near(value):
    """A part of an answer, which may be a list of numbers, for a comparison to five decimals."""
    numbers = value if isinstance(value, list) else [value]
    return pytest.approx(value, abs=1e-5) if any(isinstance(number, float) for number in numbers) else value


def test_infer_in_four_ways(finished):
    task, _ = finished
    names = ANSWERS[task]
    answers = [dict(zip(names, answer, strict=True)) for answer in predict([GOOD, BAD, ""])]
    first, second = (answer[names[0]] for answer in answers[:2])
    assert "good" in first and "good" not in second if task == "multi-label" else first > second
    assert [*answers[2].values()] == [None] * len(names)
    if task == "regression":
        assert answers[0]["low"] < answers[0]["value"] < answers[0]["high"]
        assert answers[0]["value"] > answers[1]["value"] + 4

    table = infer_command(GOOD, BAD, "--explain").splitlines()
    assert table[0].split("  ")[0].strip() == names[0]
    assert "[" in table[1]
    label = {"multi-label": "plot", "regression": "label", "ordinal": "1"}[task]
    assert len(infer_command(GOOD, "--explain-label", label).splitlines()) == 2
    refused = infer_command(GOOD, "--explain-label", "9", ok=False)
    assert "the model has no label '9' to explain; its labels are" in refused

    lines = [json.loads(line) for line in infer_command("-", stdin=f"{GOOD}\n{BAD}\n".encode()).splitlines()]
    for line, answer in zip(lines, answers, strict=False):
        assert [*line] == [*names, "text"]
        assert line[names[0]] == (
            pytest.approx(first, rel=1e-4) if isinstance(first := answer[names[0]], float) else first
        )

    pd.DataFrame({"text": [GOOD, BAD, ""]}).to_csv("new.csv", index=False)
    for suffix in ("parquet", "jsonl", "csv"):
        infer_command("--file", "new.csv", "--out", f"out.{suffix}")
    columns = ["text", "predicted", *names[1:]]
    scored = pq.read_table("out.parquet")
    assert scored.column_names == columns
    of_parquet = scored.to_pylist()
    of_lines = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    of_csv = pd.read_csv("out.csv", keep_default_na=False, dtype=str).to_dict("records")
    for number, answer in enumerate(answers):
        values = [*answer.values()]
        for row in (of_parquet[number], of_lines[number]):
            assert [*row] == columns
            assert {name: row[name] for name in columns[1:]} == dict(zip(columns[1:], map(near, values), strict=True))
        of_csv_row = [json.loads(of_csv[number][name] or "null") for name in columns[1:]]
        assert of_csv_row == [near(value) for value in values]


def test_answers_of_low_confidence(finished):
    task, _ = finished
    if task == "regression":
        refused = "a number has an interval in place of a confidence; leave the threshold out"
        for options in (["--min-confidence=0.5"], ["--min-accuracy=0.7"], ["--min-confidence=target"]):
            assert infer_command(GOOD, *options, ok=False).strip().endswith(refused)
        Path("new.jsonl").write_text(json.dumps({"text": GOOD}) + "\n")
        assert refused in infer_command("--file", "new.jsonl", "--min-confidence=0.5", ok=False)
        with pytest.raises(InputError, match=refused):
            predict(GOOD, 0.5)
        return
    uncertain, confidences = {"multi-label": ("uncertain", list), "ordinal": (None, float)}[task]
    first, confidence, *_ = predict(GOOD, min_confidence=1.0)
    assert first == ([uncertain] if task == "multi-label" else uncertain)
    assert isinstance(confidence, confidences)
    assert predict(GOOD, min_confidence=0.01) == predict(GOOD)
    line = json.loads(infer_command("-", "--min-confidence=1", stdin=GOOD.encode()))
    assert line[ANSWERS[task][0]] == first
    infer_command(GOOD, "--min-confidence=1")
    infer_command(GOOD, "--min-accuracy=0.2")


def test_prediction_sets(finished):
    """evaluate measures them, and an answer has them. The intervals of numbers are wider for a larger share."""
    task, _ = finished
    sets, curve = read("metrics/evaluate.json")["sets"], pd.read_csv("metrics/sets.csv")
    assert sets["coverage_low"] <= sets["coverage"] <= sets["coverage_high"]
    assert sets["coverage_high"] > sets["target"]
    size = "width" if task == "regression" else "mean_size"
    assert [*curve] == ["target", "coverage", size, *["single"] * (task != "regression")]
    assert curve["target"].iloc[-1] == (0.9 if task == "multi-label" else 0.95)  # by the rows with the label
    assert curve[size].is_monotonic_increasing
    assert curve.set_index("target")[size][sets["target"]] == pytest.approx(sets[size], abs=1e-4)
    Path("new.jsonl").write_text(json.dumps({"text": GOOD}) + "\n")
    infer_command("--file", "new.jsonl", "--sets=0.9")
    (scored,) = pq.read_table("scored.parquet").to_pylist()
    if task == "regression":
        widths = [high - low for _, low, high in (predict(GOOD, sets=share) for share in (0.5, 0.9, 0.95))]
        assert widths == sorted(widths)
        assert scored["high"] - scored["low"] == pytest.approx(widths[1])
    else:
        assert scored["set"] == predict(GOOD, sets=0.9)[-1]
        assert ("good" if task == "multi-label" else 5) in scored["set"]
    assert ("### Prediction sets" in Path("metrics/report.md").read_text()) == (task != "regression")


def test_a_long_text_has_the_mean_scores_of_its_windows(finished):
    from classifier.predict import Classifier

    classifier = Classifier()
    text = " ".join([GOOD, *["the film was long and"] * 12])
    (windows,) = classifier.token_windows([text])
    assert len(windows) == 2
    each = classifier.scores([[ids] for ids in windows])
    assert classifier.scores([windows])[0] == pytest.approx(each.mean(axis=0), abs=1e-5)
    assert len(classifier(text)) == len(classifier.task.ANSWER)


@pytest.mark.parametrize("finished", ["multi-label"], indirect=True)
def test_the_forms_of_the_export_are_compared(finished):
    """By the two values of the task; only numbers have no count of changed answers."""
    task, project = finished
    edit_params(project, **{"export.formats": ["transformers", "bf16"], "export.tolerance": 1.0})
    run_stages("export", "report")
    results = read("metrics/export.json")
    compared = {
        "multi-label": ["answers_changed", "subset_accuracy", "log_loss"],
        "regression": ["absolute_error", "squared_error"],
        "ordinal": ["answers_changed", "accuracy", "log_loss"],
    }[task]
    for form, split in (("transformers", "validation"), ("bf16", "validation"), ("bf16", "test")):
        assert [key for key in results[form][split] if not key.endswith(("_low", "_high"))] == [
            "texts", *(name if name == "answers_changed" else f"{name}_difference" for name in compared)
        ]  # fmt: skip
        assert results[form][split]["texts"] == 80
    fp32 = {key: value for key, value in results["transformers"]["validation"].items() if key.endswith("_difference")}
    assert set(fp32.values()) == {0}
    assert any(value for key, value in results["bf16"]["test"].items() if key.endswith("_difference"))
    text = Path("metrics/report.md").read_text()
    check_markdown(text)
    heads = [name.replace("_", " ") for name in compared]
    assert f"| form | split | MB | texts | {' | '.join(heads)} | kept |\n" in text


@pytest.mark.parametrize(
    "finished",
    ["regression", *(pytest.param(task, marks=pytest.mark.scale) for task in ("multi-label", "ordinal"))],
    indirect=True,
)
def test_a_killed_training_goes_on_and_ends_with_the_same_bytes(finished, monkeypatch):
    _, project = finished
    monkeypatch.setenv("CHECKPOINT_MINUTES", "0")
    lock, outputs = locked(project), contents(project)
    shutil.rmtree(project / "models/adapter")
    for name in ("training.json", "training.csv", "validation.csv"):
        (project / "metrics" / name).unlink()
    shutil.rmtree(project / ".dvc/cache/runs")
    command = ("repro", "--force", "--single-item", "train")
    sent, log = repro_until(
        lambda: any(Path(".checkpoints").glob("*.safetensors")), signal.SIGKILL, forked=True, command=command
    )
    assert sent, log
    monkeypatch.setenv("CHECKPOINT_MINUTES", "10")
    assert "train: going on from step" in dvc(*command)
    assert contents(project) == outputs
    assert locked(project)["stages"]["train"] == lock["stages"]["train"]


@pytest.mark.parametrize("finished", ["multi-label"], indirect=True)
def test_two_processes_evaluate_like_one(finished, monkeypatch, forked_commands):
    _, project = finished
    outputs = contents(project)
    monkeypatch.setenv("LAUNCH", "torchrun --nproc-per-node 2")
    dvc("repro", "--force", "--single-item", "evaluate")
    assert contents(project) == outputs


def test_two_processes_train_like_one(finished, monkeypatch, forked_commands):
    """The same weights, calibration and decision up to rounding: each task sums its loss over the ranks' rows."""
    _, project = finished
    edit_params(project, **{"train.precision": "fp32", "train.epochs": 2, "train.keep": "last"})

    def trained() -> tuple[dict, dict, pd.DataFrame]:
        weights = load_file("models/adapter/adapter_model.safetensors")
        rows = pd.read_parquet("models/adapter/validation.parquet").select_dtypes("number")
        return weights, flat(read("metrics/training.json")), rows

    run_stages("train")
    weights, metrics, rows = trained()
    monkeypatch.setenv("LAUNCH", "torchrun --nproc-per-node 2")
    assert "2 processes" in dvc("repro", "--force", "--single-item", "train")
    weights_together, metrics_together, rows_together = trained()
    assert weights_together.keys() == weights.keys()
    for name, tensor in weights_together.items():
        np.testing.assert_allclose(tensor, weights[name], atol=1e-4, err_msg=name)
    assert metrics_together == pytest.approx(metrics, abs=1e-3)
    np.testing.assert_allclose(rows_together, rows, atol=1e-3)


@pytest.mark.parametrize("finished", ["multi-label", "regression"], indirect=True)
def test_a_correction_reaches_the_train_texts(finished):
    task, project = finished
    text = read_table(Path("data/raw/train.parquet"))[0]["text"][0]
    label = {"multi-label": ["plot"], "regression": 99.0}[task]
    Path("data/local/c.jsonl").write_text(json.dumps({"hash": text_hash(text), "label": label}) + "\n")
    edit_params(project, **{"datasets.mine.corrections": "c.jsonl"})
    assert stages_run(dvc("repro", "data")) == ["data"]
    assert read("metrics/data.json")["labels_corrected"] == 1
    first = array_of(read_table(Path("data/raw/train.parquet"))[0]["label"])[0].tolist()
    assert first == {"multi-label": [0, 0, 1], "regression": 99.0}[task]


@pytest.mark.parametrize("finished", ["ordinal"], indirect=True)
def test_another_task_makes_the_data_again(finished, capfd):
    _, project = finished
    edit_params(project, **{"datasets.mine.task": "regression"})
    assert refusal(data, capfd).endswith("range: not used by `task: regression`; remove it or change `task`")
    edit_params(project, **{"datasets.mine.range": None})
    assert stages_run(dvc("repro", "data")) == ["data"]
    assert read_table(Path("data/raw/train.parquet"))[1]["task"] == "regression"
    edit_params(project, **{"train.class_weights": "balanced"})
    assert "a regression has no labels to weigh; set it to null" in refusal(data, capfd)


def test_weights_of_the_labels_and_few_validation_texts(finished):
    """A validation split that is too small for intervals and thresholds, as users with few texts have it."""
    task, project = finished
    changes = {"datasets.mine.validation": 6, "train.epochs": 1}
    if task != "regression":
        changes["train.class_weights"] = "balanced"
    if task == "ordinal":
        changes["datasets.mine.range"] = [0, 6]  # two ratings that no text has
    edit_params(project, **changes)
    run_stages("data", "tokenize", "baseline", "train", "evaluate", "infer", "report")
    text = Path("metrics/report.md").read_text()
    assert not re.search(r"\b(nan|NaN|None|inf|undefined)\b", text)
    if task == "regression":
        assert "The 6 validation texts are too few for intervals." in text
        assert predict(GOOD)[1:] == (None, None)
