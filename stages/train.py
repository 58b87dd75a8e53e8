"""Train an adapter of the encoder (LoRA or another of peft's methods), all weights, or the classification head alone.

In:  data/tokens/{train,validation}.arrow and models/base/.
Out: models/adapter/ (see classifier/model/saving.py), metrics/training.json, metrics/training.csv (step, loss, learning
     rate) and metrics/validation.csv (step, loss, score).

A killed run resumes from its last checkpoint and ends with the same bytes (see classifier/training/checkpoint.py). The
outputs hold no wall time and no hardware, which would make two runs differ; both are printed. With LAUNCH in the
environment several processes share the batches (see classifier/distributed/processes.py).
"""

import time
from typing import Annotated, Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from classifier.distributed.processes import Processes
from classifier.files.formats import table_of, write_csv, write_json
from classifier.files.places import METRICS
from classifier.model.build import last_layer
from classifier.model.loading import silence_libraries
from classifier.model.saving import save_classifier
from classifier.params.catalogue import Method, Model
from classifier.params.settings import Param
from classifier.runner.run import main
from classifier.text.tokens import open_tokens
from classifier.training.calibration import calibrate, cross_calibrate
from classifier.training.progress import Progress
from classifier.training.recipe import Recipe
from classifier.training.training import Training


def train(
    *,
    model: Annotated[Model, Param("models.${model}")],
    method: Annotated[Method, Param("methods.${method}")],
    recipe: Annotated[Recipe, Param("train")],
) -> None:
    """Train the classifier, calibrate it on the validation split and save it."""
    silence_libraries()
    processes = Processes.connect()
    training = Training(recipe, model, method, open_tokens("train"), open_tokens("validation"), processes)
    if processes.is_rank_0:
        texts = f"{training.texts_per_validation:,} validation texts scored {len(training.plan.validation_steps)} times"
        print(f"train: {training.plan}; {texts}")
    if position := training.resume():
        print(f"train: going on from {position}")
    take_all_steps(training)
    kept_step = training.load_kept_weights()
    # All validation texts, in fp32: the calibration is fitted on them, and the metrics are reported on them.
    logits, features, labels = training.validate()
    if processes.is_rank_0:
        settings, quality = save_calibrated(training, model.name, method.name, logits, features, labels)
        write_curves(training.progress)
        write_metrics(training, kept_step, settings, *quality)
        training.checkpoint.finish()


def take_all_steps(training: Training) -> None:
    """Take the remaining steps. At each validation print a line and write the curves, which `dvc plots show` draws."""
    import torch

    steps, progress = training.plan.steps, training.progress
    started, validations = time.monotonic(), len(progress.validation)
    with tqdm(total=steps, initial=progress.step, desc="train", unit="step", disable=None) as bar:
        for step in training.run():
            if len(progress.validation) > validations:
                validations = len(progress.validation)
                bar.write(f"step {step}: validation {training.task.SCORE} {progress.validation[-1][2]:.3f}")
                if training.processes.is_rank_0:
                    write_curves(progress)
            if progress.training:
                bar.set_postfix(loss=f"{progress.training[-1][1]:.3f}", refresh=False)
            bar.update()
    if training.has_stopped_early and progress.step < steps:
        print(f"train: ended at step {progress.step} of {steps}: no better since step {progress.best_step}")
    count = training.processes.count
    print(
        f"train: {time.monotonic() - started:.0f} s on {training.network.device}, {torch.get_num_threads()} threads, "
        f"{'bf16' if training.bf16 else 'fp32'}{f', {count} processes' * (count > 1)}"
    )


def save_calibrated(
    training: Training, model: str, method: str, logits: np.ndarray, features: np.ndarray, labels: np.ndarray
) -> tuple[dict[str, Any], tuple[float, float]]:
    """Calibrate the network and write models/adapter/.

    Args:
        training: The finished training.
        model: The name of the pretrained model in params.yaml.
        method: The name of the method in params.yaml.
        logits: The network's logits for the validation split, (rows, names).
        features: The inputs of the network's last layer for it, (rows, width).
        labels: The labels of the validation split.

    Returns:
        The settings in the classifier's config.json, and (loss, score) of the validation split after the calibration.
    """
    task, dataset = training.task, training.train_tokens.metadata
    temperature, bias = calibrate(training.network, logits, labels, task)
    with_bias = last_layer(training.network).bias is not None
    names, about_texts = dataset["labels"], ("task", "columns", "separator", "pair", "token_types_after", "tokenize")
    scores, unseen = cross_calibrate(logits, labels, names, task, with_bias)
    decision, calibrated = task.decide(scores, labels), logits / temperature + bias
    settings = {
        **{name: dataset[name] for name in about_texts if name in dataset},
        "calibration_temperature": np.asarray(temperature).tolist(),
        "calibration_bias": bias.tolist(),
        "decision": decision,
        "trained": {
            "dataset": dataset["name"],
            "model": model,
            "method": method,
            "texts": len(training.train_tokens),
            **parameter_counts(training.network),
            **({"validation_chose_step": True} if training.recipe.selects_on_validation else {}),
        },
    }
    columns = {"label": labels, **task.prediction_columns(calibrated, names, decision), **unseen}
    save_classifier(training.network, settings, table_of(columns), features)
    return settings, task.quality(calibrated, labels)  # without weights of the labels


def write_metrics(training: Training, kept_step: int, settings: dict[str, Any], loss: float, score: float) -> None:
    """Write metrics/training.json.

    Args:
        training: The finished training.
        kept_step: The step whose weights the network has.
        settings: The settings in the classifier's config.json.
        loss: The loss of the validation split after the calibration.
        score: The score of the validation split after the calibration, the task's SCORE.
    """
    names, trained = training.train_tokens.metadata["labels"], settings["trained"]
    counts = {name: trained[name] for name in ("parameters", "trainable_parameters")}
    has_bias = last_layer(training.network).bias is not None
    metrics = {
        f"validation_{training.task.SCORE}": round(score, 4),
        "validation_loss": round(loss, 4),
        "train_loss": round(final_training_loss(training.progress), 4),
        "temperature": by_name(settings["calibration_temperature"], names),
        "bias": by_name(settings["calibration_bias"], names) if has_bias else {},
        **{name: by_name(value, names) for name, value in settings["decision"].items()},
        "learning_rate": training.learning_rate,
        **training.plan.epochs_after(training.progress.step),
        "steps": training.progress.step,
        "planned_steps": training.plan.steps,
        "kept_step": kept_step,
        "texts_per_validation": training.texts_per_validation,
        **counts,
        "trainable_share": round(counts["trainable_parameters"] / counts["parameters"], 6),
    }
    write_json(METRICS / "training.json", metrics)


def by_name(values: Any, names: list[str]) -> Any:
    """Return numbers rounded to four decimals, as a mapping from the names if there is one for each name."""
    if values is None or np.ndim(values) == 0:
        return None if values is None else round(float(values), 4)
    return dict(zip(names, np.round(values, 4).tolist(), strict=True))


def write_curves(progress: Progress) -> None:
    """Write metrics/training.csv and metrics/validation.csv."""
    for name, columns in {"training": ["loss", "learning_rate"], "validation": ["loss", "score"]}.items():
        write_csv(METRICS / f"{name}.csv", pd.DataFrame(getattr(progress, name), columns=["step", *columns]).round(6))


def final_training_loss(progress: Progress) -> float:
    """Return the mean training loss over the last tenth of the steps. A row of the curve may cover several steps."""
    steps, losses, _ = np.transpose(progress.training)
    last = steps > 0.9 * progress.step
    return float(np.average(losses[last], weights=np.diff(steps, prepend=0)[last]))


def parameter_counts(network) -> dict[str, int]:
    """Return the numbers of all parameters and of those that train.

    Where a module trains in full, peft keeps an untrained copy of it. The copy is not counted.
    """
    parameters = sum(p.numel() for name, p in network.named_parameters() if ".original_module." not in name)
    trainable = sum(p.numel() for p in network.parameters() if p.requires_grad)
    return {"parameters": parameters, "trainable_parameters": trainable}


if __name__ == "__main__":
    main(train, distributed=True, uses_model=True)
