"""A training that is interrupted after any step and resumed ends with the same bytes."""

import shutil
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest
import torch
from commands import contents, read, refusal, run_stages
from safetensors.torch import load_file
from tiny import edit_params

from classifier.runner.params import arguments, load_params
from classifier.runner.run import run
from classifier.training import checkpoint
from classifier.training.checkpoint import Checkpoint
from classifier.training.state import trained_parameters
from classifier.training.training import Training
from stages.evaluate import evaluate
from stages.train import train

STEPS = 8  # two epochs of four batches; the first is the short one
pytestmark = pytest.mark.usefixtures("checkpoint_after_each_step")


class AbortError(Exception):
    pass


def run_train() -> None:
    train(**arguments(train, load_params()))


def set_validation_losses(monkeypatch, losses: list[float]) -> None:
    """Let the validation after each step, from 1, measure the loss of this list."""

    def add_validation(self, step, add_validation=Training.add_validation):
        with monkeypatch.context() as patch:
            patch.setattr("classifier.tasks.single_label.quality", lambda *args: (losses[step - 1], 0.5))
            add_validation(self, step)

    monkeypatch.setattr(Training, "add_validation", add_validation)


def forget_training() -> None:
    for path in ("metrics/training.csv", "metrics/training.json", "metrics/validation.csv"):
        Path(path).unlink()
    shutil.rmtree("models/adapter")
    shutil.rmtree(checkpoint.FOLDER)


@pytest.mark.parametrize(
    ("method", "precision", "keep"),
    [
        ({"peft": {"peft_type": "LORA", "r": 4, "lora_alpha": 8}}, "bf16", "last"),
        ({"peft": {"peft_type": "LORA", "r": 4, "lora_dropout": 0.1}}, "fp32", "last"),
        ({"peft": {"peft_type": "LORA", "r": 4, "use_dora": True}, "loraplus_lr_ratio": 4.0}, "fp32", "best"),
        ({"peft": {"peft_type": "ADALORA", "init_r": 6, "target_r": 2, "tinit": 1, "tfinal": 2}}, "fp32", "last"),
        ({"peft": "full"}, "fp32", "last"),
    ],
    ids=["lora bf16", "lora dropout", "lora+ dora best", "adalora", "full"],
)
def test_same_bytes_after_an_interruption_at_any_step(finished, monkeypatch, capfd, method, precision, keep):
    edit_params(
        finished,
        **{
            "methods.lora": method,
            "train.epochs": 1,
            "train.short_epoch": 8,
            "train.batch_size": 40,
            "train.micro_batch_size": 16,
            "train.dropout": 0.1,
            "train.schedule": "cosine",
            "train.warmup": 0.3,
            "train.precision": precision,
            "train.keep": keep,
            "train.validations": STEPS if keep == "best" else 4,
        },
    )
    if keep == "best":
        set_validation_losses(monkeypatch, [0.7, 0.9, 0.5, 0.8, 0.4, 0.9, 0.6, 0.5])
    if torch.mps.is_available():  # a checkpoint does not hold the random state of MPS, from which dropout draws
        monkeypatch.setenv("DEVICE", "cpu")
    copies = finished.parent / "copies"

    def save_and_copy(self, tensors, state, save=Checkpoint.save):
        save(self, tensors, state)
        shutil.copytree(checkpoint.FOLDER, copies / str(state["progress"]["step"]))

    forget_training()
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", save_and_copy)
        run_train()
    expected = contents(finished)
    assert read("metrics/training.json")["kept_step"] == (5 if keep == "best" else STEPS)
    for last in range(1, STEPS + 1):
        forget_training()
        shutil.copytree(copies / str(last), checkpoint.FOLDER)
        capfd.readouterr()
        run_train()
        assert f"train: going on from step {last} of {STEPS}" in capfd.readouterr().out
        assert contents(finished) == expected, f"interrupted after step {last} of {STEPS}"


def test_one_run_is_interrupted_after_every_step(finished, monkeypatch):
    edit_params(finished, **{"train.epochs": 1})
    shutil.rmtree("models/adapter")
    run_train()
    expected = contents(finished)
    curves = [Path("metrics/training.csv"), Path("metrics/validation.csv")]
    training, validation = (pd.read_csv(path) for path in curves)
    for path in curves:
        path.unlink()
    shutil.rmtree(checkpoint.FOLDER)
    steps = []

    def save_and_interrupt(self, tensors, state, save=Checkpoint.save):
        save(self, tensors, state)
        steps.append(state["progress"]["step"])
        raise AbortError

    shutil.rmtree("models/adapter")
    monkeypatch.setattr(Checkpoint, "save", save_and_interrupt)
    while len(steps) < 20:
        with pytest.raises(AbortError):
            run_train()
        if validated := steps[-1] // 5:  # the curves are written up to the last validation
            pd.testing.assert_frame_equal(pd.read_csv(curves[0]), training[: 5 * validated])
            pd.testing.assert_frame_equal(pd.read_csv(curves[1]), validation[:validated])
        else:
            assert not any(path.exists() for path in curves)
    assert steps == list(range(1, 21))
    run_train()
    assert contents(finished) == expected


def test_patience_ends_a_training_early_and_the_best_weights_are_kept(finished, monkeypatch, capfd):
    """The kept weights are those after the step with the lowest loss, also if the run is resumed at its end."""
    edit_params(
        finished,
        **{"train.epochs": 1, "train.keep": "best", "train.patience": 2, "train.validations": 20},
    )
    assert "validation_chose_step" not in read("models/adapter/config.json")["trained"]
    set_validation_losses(monkeypatch, [0.7, 0.6, 0.65, 0.5, 0.55, 0.5, *[0.1] * 14])
    weights = {}
    take_step = Training.take_step

    def take_step_and_copy_weights(self, step):
        result = take_step(self, step)
        weights[step] = {name: tensor.clone() for name, tensor in trained_parameters(self.network).items()}
        return result

    monkeypatch.setattr(Training, "take_step", take_step_and_copy_weights)
    run_train()
    assert list(weights) == [1, 2, 3, 4, 5, 6]
    assert "train: ended at step 6 of 20: no better since step 4" in capfd.readouterr().out
    result = read("metrics/training.json")
    assert (result["steps"], result["planned_steps"], result["kept_step"]) == (6, 20, 4)
    assert (result["epochs"], result["short_epochs"]) == (0.3, 0)  # one epoch was planned
    assert result["train_loss"] == pytest.approx(pd.read_csv("metrics/training.csv")["loss"].iloc[-1], abs=1e-4)
    assert pd.read_csv("metrics/validation.csv")["step"].tolist() == [1, 2, 3, 4, 5, 6]
    assert pd.read_csv("metrics/training.csv")["step"].iloc[-1] == 6
    saved = load_file("models/adapter/adapter_model.safetensors")
    name = next(name for name in saved if "query.lora_B" in name)
    (kept,) = [p for key, p in weights[4].items() if key.replace(".default", "") == name]
    torch.testing.assert_close(saved[name], kept, rtol=0, atol=0)
    assert not torch.equal(kept, next(p for key, p in weights[6].items() if key.replace(".default", "") == name))

    expected = contents(finished)
    run_train()  # takes no further step
    assert len(weights) == 6
    assert contents(finished) == expected

    run_stages("evaluate")
    assert read("metrics/evaluate.json")["validation_chose_step"] is True


@pytest.mark.parametrize(("key", "value"), [("keep", "best"), ("patience", 2)])
def test_early_stopping_with_adalora_is_refused(finished, capfd, key, value):
    edit_params(finished, **{"methods.lora.peft": {"peft_type": "ADALORA"}, f"train.{key}": value})
    assert f"train.{key}: {value} does not suit AdaLoRA, whose ranks change until the end; set" in refusal(train, capfd)


def test_evaluate_by_hand_leaves_the_checkpoint_of_an_interrupted_training(finished, monkeypatch, capfd):
    """`evaluate` scores the old model. The checkpoint of the new one stays until the training has ended."""
    edit_params(finished, **{"train.seed": 14})

    def save_and_interrupt(self, tensors, state, save=Checkpoint.save):
        save(self, tensors, state)
        raise AbortError

    monkeypatch.setattr(Checkpoint, "save", save_and_interrupt)
    with pytest.raises(AbortError):
        run_train()
    monkeypatch.undo()
    monkeypatch.chdir(finished)
    run(evaluate)
    run(train)
    assert "train: going on from step 1 of 100" in capfd.readouterr().out
    run(evaluate)
    assert [path.suffixes for path in Path(".checkpoints").iterdir()] == [[".finished", ".safetensors"]]
    monkeypatch.setenv("DVC_STAGE", "evaluate")
    run(evaluate)
    assert list(Path(".checkpoints").iterdir()) == []


@pytest.mark.parametrize("name", ["numpy", "peft", "torch", "transformers"])
def test_another_version_of_a_library_starts_anew(finished, monkeypatch, name):
    inputs = arguments(train, load_params())
    before = checkpoint.run_key(**inputs)
    assert checkpoint.run_key(**inputs) == before
    changed = {name: "0"}
    monkeypatch.setattr(checkpoint, "version", lambda package: changed.get(package) or version(package))
    assert checkpoint.run_key(**inputs) != before
