"""Training that was broken off at any step and goes on ends with the same bytes."""

import shutil
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import contents, read, refusal
from safetensors.torch import load_file
from tiny import edit_params

from classifier.runner.params import arguments, load_params
from classifier.runner.run import run
from classifier.text.tokens import open_tokens
from classifier.training import checkpoint
from classifier.training.training import Training
from stages.evaluate import evaluate
from stages.train import train

STEPS = 8  # two epochs of four batches, the first a short one


class BrokenError(Exception):
    pass


def run_train() -> None:
    train(**arguments(train, load_params()))


def validate_as(monkeypatch, losses: list[float]) -> None:
    """Let each step's validation have the loss that stands here for it."""

    def follow(self, step, follow=Training.follow):
        with monkeypatch.context() as patch:
            told = (losses[step - 1], 0.5)
            patch.setattr("classifier.training.training.quality", lambda scores, labels, weights: told)
            follow(self, step)

    monkeypatch.setattr(Training, "follow", follow)


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
def test_same_bytes_wherever_it_was_broken_off(finished, monkeypatch, capfd, method, precision, keep):
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
        validate_as(monkeypatch, [0.7, 0.9, 0.5, 0.8, 0.4, 0.9, 0.6, 0.5])
    if torch.mps.is_available():  # whose random state, which dropout draws from, is not kept
        monkeypatch.setenv("DEVICE", "cpu")
    save, kept = checkpoint.save, finished.parent / "kept"

    def save_and_keep(name, tensors, state):
        save(name, tensors, state)
        shutil.copytree(checkpoint.FOLDER, kept / str(state["step"]))

    forget_training()
    monkeypatch.setattr(checkpoint, "save", save_and_keep)
    run_train()
    monkeypatch.setattr(checkpoint, "save", save)
    expected = contents(finished)
    assert read("metrics/training.json")["kept_step"] == (5 if keep == "best" else STEPS)
    for last in range(1, STEPS + 1):
        forget_training()
        shutil.copytree(kept / str(last), checkpoint.FOLDER)
        capfd.readouterr()
        run_train()
        assert f"train: going on from step {last} of {STEPS}" in capfd.readouterr().out
        assert contents(finished) == expected, f"broken off after step {last} of {STEPS}"


def test_broken_off_at_every_step_of_one_run(finished, monkeypatch):
    edit_params(finished, **{"train.epochs": 1})
    shutil.rmtree("models/adapter")
    run_train()
    expected = contents(finished)
    curves = [Path("metrics/training.csv"), Path("metrics/validation.csv")]
    training, validation = (pd.read_csv(path) for path in curves)
    for path in curves:
        path.unlink()
    checkpoint.clear_finished()
    save, steps = checkpoint.save, []

    def save_and_break(name, tensors, state):
        save(name, tensors, state)
        steps.append(state["step"])
        raise BrokenError

    shutil.rmtree("models/adapter")
    monkeypatch.setattr(checkpoint, "save", save_and_break)
    while len(steps) < 20:
        with pytest.raises(BrokenError):
            run_train()
        if validated := steps[-1] // 5:  # the curves up to the last validation can be looked at meanwhile
            pd.testing.assert_frame_equal(pd.read_csv(curves[0]), training[: 5 * validated])
            pd.testing.assert_frame_equal(pd.read_csv(curves[1]), validation[:validated])
        else:
            assert not any(path.exists() for path in curves)
    assert steps == list(range(1, 21))
    run_train()
    assert contents(finished) == expected


def test_patience_ends_it_early_and_the_best_weights_are_kept(finished, monkeypatch, capfd):
    """Those after the step of the lowest loss, as a training has them that ends there; and again after a kill."""
    edit_params(
        finished,
        **{"train.epochs": 1, "train.keep": "best", "train.patience": 2, "train.validations": 20},
    )
    validate_as(monkeypatch, [0.7, 0.6, 0.65, 0.5, 0.55, 0.5, *[0.1] * 14])
    weights = {}
    take_step = Training.take_step

    def remember(self, step):
        taken = take_step(self, step)
        weights[step] = {name: p.detach().clone() for name, p in self.network.named_parameters() if p.requires_grad}
        return taken

    monkeypatch.setattr(Training, "take_step", remember)
    run_train()
    assert list(weights) == [1, 2, 3, 4, 5, 6]
    assert "train: ended at step 6 of 20: no better since step 4" in capfd.readouterr().out
    result = read("metrics/training.json")
    assert (result["steps"], result["planned_steps"], result["kept_step"]) == (6, 20, 4)
    assert (result["epochs"], result["short_epochs"]) == (0.3, 0)  # and not the one that was planned
    assert result["train_loss"] == pytest.approx(pd.read_csv("metrics/training.csv")["loss"].iloc[-1], abs=1e-4)
    assert pd.read_csv("metrics/validation.csv")["step"].tolist() == [1, 2, 3, 4, 5, 6]
    assert pd.read_csv("metrics/training.csv")["step"].iloc[-1] == 6
    saved = load_file("models/adapter/adapter_model.safetensors")
    name = next(name for name in saved if "query.lora_B" in name)
    (kept,) = [p for key, p in weights[4].items() if key.replace(".default", "") == name]
    torch.testing.assert_close(saved[name], kept, rtol=0, atol=0)
    assert not torch.equal(kept, next(p for key, p in weights[6].items() if key.replace(".default", "") == name))

    expected = contents(finished)
    run_train()  # of what has ended nothing is taken again
    assert len(weights) == 6
    assert contents(finished) == expected


@pytest.mark.parametrize(("key", "value"), [("keep", "best"), ("patience", 2)])
def test_an_early_end_of_a_method_whose_ranks_move_is_refused(finished, capfd, key, value):
    edit_params(finished, **{"methods.lora.peft": {"peft_type": "ADALORA"}, f"train.{key}": value})
    assert f"train.{key}: {value} is not for AdaLoRA, whose ranks move to the end" in refusal(train, capfd)


def test_evaluate_by_hand_leaves_a_broken_off_training(finished, monkeypatch, capfd):
    """The old model is scored; the new one's checkpoint stays until the training has ended."""
    edit_params(finished, **{"train.seed": 14})

    def save_and_break(name, tensors, state, save=checkpoint.save):
        save(name, tensors, state)
        raise BrokenError

    monkeypatch.setattr(checkpoint, "save", save_and_break)
    with pytest.raises(BrokenError):
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
def test_another_librarys_version_starts_anew(finished, monkeypatch, name):
    def key() -> str:
        inputs = arguments(train, load_params())
        return Training(**inputs, tokens=open_tokens("train"), held_out=open_tokens("validation")).key

    before = key()
    assert key() == before
    other = {name: "0"}
    monkeypatch.setattr("classifier.training.training.version", lambda package: other.get(package) or version(package))
    assert key() != before
