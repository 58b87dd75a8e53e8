"""Fine-tune the encoder: LoRA or another of peft's methods, everything, or the head alone.

In:  data/tokens/{train,validation}.arrow and models/base/.
Out: models/adapter/ (see classifier/model/saving.py), metrics/training.json, and against the optimizer's step
     metrics/training.csv (loss, learning rate) and metrics/validation.csv (loss, accuracy).

A killed run goes on from its last checkpoint and
ends with the same bytes. Wall time and hardware are shown on the terminal only: they would make reruns differ. With
LAUNCH in the environment several processes share the batches (see classifier/distributed/processes.py).
"""

import time
from typing import Annotated

import numpy as np
import pandas as pd
from tqdm import tqdm

from classifier.distributed.processes import Processes
from classifier.files.formats import write_csv, write_json
from classifier.files.places import METRICS
from classifier.model.forward import quiet
from classifier.model.probabilities import predictions
from classifier.model.saving import save_classifier
from classifier.params.catalogue import Method, Model
from classifier.params.settings import Param
from classifier.runner.run import main
from classifier.text.tokens import open_tokens
from classifier.training import checkpoint
from classifier.training.calibration import calibrate, calibrated_by_others, quality
from classifier.training.progress import Progress
from classifier.training.recipe import Recipe
from classifier.training.training import Training


def train(
    *,
    model: Annotated[Model, Param("models.${model}")],
    method: Annotated[Method, Param("methods.${method}")],
    recipe: Annotated[Recipe, Param("train")],
) -> None:
    """Train, calibrate on validation, save."""
    quiet()
    processes = Processes.connect()
    training = Training(recipe, model, method, open_tokens("train"), open_tokens("validation"), processes)
    if processes.is_rank_0:
        print(f"train: {training.plan}; {training.followed:,} validation texts scored {recipe.validations} times")
    if resumed := training.resume():
        print(f"train: going on from {resumed}")
    take_all_steps(training)
    kept = training.keep()

    # All validation texts in fp32: what is reported, and what the calibration is then fitted on.
    scores, labels = training.validate()
    if not processes.is_rank_0:
        return
    temperature, bias = calibrate(training.network, scores, labels)
    told, counts = training.tokens.metadata, parameter_counts(training.network)
    names = told["labels"]
    save_classifier(
        training.network,
        {
            **{name: told[name] for name in ("columns", "separator", "tokenize")},
            "calibration_temperature": temperature,
            "calibration_bias": bias.tolist(),
            "trained": {
                "dataset": told["name"],
                "model": model.name,
                "method": method.name,
                "texts": len(training.tokens),
                "parameters": counts["parameters"],
                "trainable_parameters": counts["trainable_parameters"],
            },
        },
        validation_rows(scores, labels, temperature, bias, names),
    )
    write_curves(training.progress)
    loss, accuracy = quality(scores / temperature + bias, labels)  # as it answers: weights of the labels are undone
    write_json(
        METRICS / "training.json",
        {
            "validation_accuracy": round(accuracy, 4),
            "validation_loss": round(loss, 4),
            "train_loss": round(last_tenth(training), 4),
            "temperature": round(temperature, 4),
            "bias": dict(zip(names, bias.round(4).tolist(), strict=True)),
            "learning_rate": training.rate,
            **training.plan.epochs_of(training.progress.step),
            "steps": training.progress.step,
            "planned_steps": training.plan.steps,
            "kept_step": kept,
            **counts,
        },
    )
    checkpoint.finish(training.key)


def validation_rows(scores: np.ndarray, labels: np.ndarray, temperature: float, bias: np.ndarray, names: list[str]):
    """The validation rows with label, predicted, confidence and probabilities; and unseen_confidence and unseen_right,
    by a calibration fitted on other rows, from which a threshold of confidence is chosen.
    """
    unseen = predictions(calibrated_by_others(scores, labels), names)
    return pd.DataFrame(
        {
            "label": labels,
            **predictions(scores / temperature + bias, names),
            "unseen_confidence": unseen["confidence"],
            "unseen_right": unseen["predicted"] == labels,
        }
    )


def take_all_steps(training: Training) -> None:
    """Train to the end, with a line and the curves so far at each validation, for `dvc plots show` to draw."""
    import torch

    steps, progress = training.plan.steps, training.progress
    started, validations = time.monotonic(), len(progress.validation)
    with tqdm(total=steps, initial=progress.step, desc="train", unit="step", disable=None) as bar:
        for step in training.run():
            if len(progress.validation) > validations:
                validations = len(progress.validation)
                bar.write(f"step {step}: validation accuracy {progress.validation[-1][2]:.3f}")
                if training.processes.is_rank_0:
                    write_curves(progress)
            if progress.training:
                bar.set_postfix(loss=f"{progress.training[-1][1]:.3f}", refresh=False)
            bar.update()
    if training.stopped and progress.step < steps:
        print(f"train: ended at step {progress.step} of {steps}: no better since step {progress.best_step}")
    count = training.processes.count
    print(
        f"train: {time.monotonic() - started:.0f} s on {training.network.device}, {torch.get_num_threads()} threads, "
        f"{'bf16' if training.bf16 else 'fp32'}{f', {count} processes' * (count > 1)}"
    )


def write_curves(progress: Progress) -> None:
    for name, columns in {"training": ["loss", "learning_rate"], "validation": ["loss", "accuracy"]}.items():
        write_csv(METRICS / f"{name}.csv", pd.DataFrame(getattr(progress, name), columns=["step", *columns]).round(6))


def last_tenth(training: Training) -> float:
    """The mean training loss over the last tenth of the steps, of which a row of the curve may stand for several."""
    steps, losses, _ = np.transpose(training.progress.training)
    last = steps > 0.9 * training.progress.step
    return float(np.average(losses[last], weights=np.diff(steps, prepend=0)[last]))


def parameter_counts(network) -> dict[str, int | float]:
    """All parameters and those that train. Where a module trains in full peft keeps the untrained, not counted."""
    parameters = sum(p.numel() for name, p in network.named_parameters() if ".original_module." not in name)
    trainable = sum(p.numel() for p in network.parameters() if p.requires_grad)
    return {
        "parameters": parameters,
        "trainable_parameters": trainable,
        "trainable_share": round(trainable / parameters, 6),
    }


if __name__ == "__main__":
    main(train, distributed=True)
