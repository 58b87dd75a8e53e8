"""Fine-tune the encoder: LoRA or another of peft's methods, everything, or the head alone.

In:  data/tokens/{train,validation}.parquet and models/base/.
Out: models/adapter/ (see stages.encoder), metrics/training.json, and against the optimizer's step
     metrics/training.csv (loss, learning rate) and metrics/validation.csv (loss, accuracy).

The last step's weights are kept; there is no early stopping. A killed run goes on from its last checkpoint and
ends with the same bytes. Wall time and hardware are shown on the terminal only: they would make reruns differ.
"""

import os
import time
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field
from tqdm import tqdm

from stages import checkpoint
from stages.batches import epoch_batches, gradient, multiplies_bf16
from stages.calibration import calibrate, quality
from stages.catalogue import Method, Model
from stages.encoder import device, logits, quiet, save_classifier
from stages.files import BASE, METRICS, TOKENS, read_table, write_csv, write_json
from stages.network import classifier, make_optimizer, with_method
from stages.params import InputError
from stages.run import main

CODE = [
    Path(__file__).with_name(f"{name}.py")
    for name in ("train", "batches", "calibration", "checkpoint", "encoder", "network")
]  # what shapes the weights
Count = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


def train(
    *,
    model: Model,
    method: Method,
    seed: Annotated[int, Field(ge=0, lt=2**32)],
    epochs: Count | None,
    batch_size: Count,
    micro_batch_size: Count,
    learning_rate: Annotated[float, Field(gt=0)] | None,
    warmup: Share,
    schedule: Literal["linear", "cosine", "constant_with_warmup"],
    weight_decay: Annotated[float, Field(ge=0)],
    max_grad_norm: Annotated[float, Field(gt=0)],
    dropout: Share | None,
    validations: Count,
    validation_rows: Count,
    checkpoint_minutes: Annotated[float, Field(ge=0)],
    precision: Literal["auto", "fp32", "bf16"],
    deterministic: bool,
) -> None:
    """Train, calibrate on validation, save. The arguments are explained in params.yaml."""
    settings = {name: value for name, value in locals().items() if name != "checkpoint_minutes"}
    import torch
    from transformers import get_scheduler, set_seed

    quiet()
    tokens, metadata = read_table(TOKENS / "train.parquet")
    held_out, _ = read_table(TOKENS / "validation.parquet")
    sequences, labels = tokens["input_ids"].to_numpy(), tokens["label"].to_numpy()
    lengths = np.array([len(ids) for ids in sequences])
    if batch_size > len(labels):
        raise InputError(f"params.yaml: train.batch_size: {batch_size} is above the {len(labels)} reviews of train")
    steps_per_epoch = -(-len(labels) // batch_size)
    epochs = epochs or model.epochs
    steps = epochs * steps_per_epoch
    rate = learning_rate or method.learning_rate or model.learning_rate

    set_seed(seed)
    bf16 = precision == "bf16" or (precision == "auto" and multiplies_bf16())
    if deterministic and torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
        torch.use_deterministic_algorithms(True)
    network, head = classifier(metadata["labels"], dropout)
    network = with_method(network, head, method, model.peft, steps)
    virtual = getattr(getattr(network, "active_peft_config", None), "num_virtual_tokens", 0)  # of a learned prompt
    if (longest := metadata["tokenize"]["max_length"]) + virtual > metadata["limit"]:
        raise InputError(
            f"params.yaml: tokenize.max_length: {longest} and the method's {virtual} virtual tokens are above the "
            f"model's limit of {metadata['limit']}; lower it to {metadata['limit'] - virtual}"
        )
    network.to(device())
    optimizer = make_optimizer(network, rate, weight_decay, method.loraplus_lr_ratio)
    scheduler = get_scheduler(schedule, optimizer, round(warmup * steps), steps)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    reallocate = getattr(network.base_model, "update_and_allocate", None)  # AdaLoRA moves rank between layers

    def refuse_divergence(numbers: float | np.ndarray, step: int) -> None:
        if not np.isfinite(numbers).all():
            raise InputError(
                f"params.yaml: the training diverged by step {step} of {steps}; lower the learning rate of {rate}"
            )

    def validate(step: int, rows: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        part = held_out[:rows]
        scores = logits(network, part["input_ids"].to_numpy(), "validation")
        refuse_divergence(scores, step)
        return scores, part["label"].to_numpy()

    run_key = checkpoint.key(
        settings
        | {"torch": torch.__version__, "threads": torch.get_num_threads(), "device": str(network.device)}
        | {"bf16": bf16},
        [TOKENS / "train.parquet", TOKENS / "validation.parquet", BASE, *CODE],
    )
    progress = {"step": 0, "losses": [], "training": [], "validation": []}
    if saved := checkpoint.load(run_key):
        tensors, progress = saved
        checkpoint.unpack(tensors, network, optimizer)
        scheduler.load_state_dict(progress["scheduler"])
        for group, last in zip(optimizer.param_groups, scheduler.get_last_lr(), strict=True):
            group["lr"] = last  # a scheduler restores its own count, not the optimizer's rate
        print(f"train: going on from step {progress['step']} of {steps}")

    def write_curves() -> None:
        for name, columns in {"training": ["loss", "learning_rate"], "validation": ["loss", "accuracy"]}.items():
            write_csv(METRICS / f"{name}.csv", pd.DataFrame(progress[name], columns=["step", *columns]).round(6))

    log_every = max(1, steps // 100)
    validate_at = {round(steps * (number + 1) / validations) for number in range(validations)}
    started = saved_at = time.monotonic()
    bar = tqdm(total=steps, initial=progress["step"], desc="train", unit="step", disable=None)
    batches = None
    for step in range(progress["step"] + 1, steps + 1):
        epoch, number = divmod(step - 1, steps_per_epoch)
        if number == 0 or batches is None:
            batches = epoch_batches(lengths, batch_size, seed, epoch)
        batch = batches[number]
        network.train()
        loss = gradient(network, sequences[batch], labels[batch], micro_batch_size, bf16)
        refuse_divergence(loss, step)
        progress["losses"].append(loss)
        torch.nn.utils.clip_grad_norm_(trained, max_grad_norm)
        optimizer.step()
        if reallocate:
            reallocate(step - 1)
        if step % log_every == 0 or step == steps:
            progress["training"].append([step, float(np.mean(progress["losses"])), scheduler.get_last_lr()[0]])
            progress["losses"] = []
            bar.set_postfix(loss=f"{progress['training'][-1][1]:.3f}", refresh=False)
        scheduler.step()
        optimizer.zero_grad()
        if step in validate_at:
            # To follow the run, so as it runs; what is reported and calibrated with, below, is fp32.
            with torch.autocast(network.device.type, torch.bfloat16, enabled=bf16):
                progress["validation"].append([step, *quality(*validate(step, validation_rows))])
            bar.write(f"step {step}: validation accuracy {progress['validation'][-1][2]:.3f}")
            write_curves()  # `dvc plots show` draws a run that still goes on
        if step == steps or time.monotonic() - saved_at > 60 * checkpoint_minutes:
            progress |= {"step": step, "scheduler": scheduler.state_dict()}
            checkpoint.save(run_key, checkpoint.pack(network, optimizer), progress)
            saved_at = time.monotonic()
        bar.update()
    bar.close()
    print(
        f"train: {time.monotonic() - started:.0f} s on {network.device}, {torch.get_num_threads()} threads, "
        f"{'bf16' if bf16 else 'fp32'}"
    )

    scores, answers = validate(steps)
    loss, accuracy = quality(scores, answers)
    temperature = calibrate(network, scores, answers)
    save_classifier(network, {"tokenize": metadata["tokenize"], "calibration_temperature": temperature})
    write_curves()
    # Where peft trains the head it keeps the untrained one beside it.
    parameters = sum(p.numel() for name, p in network.named_parameters() if ".original_module." not in name)
    trainable = sum(p.numel() for p in trained)
    write_json(
        METRICS / "training.json",
        {
            "validation_accuracy": round(accuracy, 4),
            "validation_loss": round(loss, 4),
            "train_loss": round(float(np.mean([loss for at, loss, _ in progress["training"] if at > 0.9 * steps])), 4),
            "temperature": round(temperature, 4),
            "learning_rate": rate,
            "epochs": epochs,
            "steps": steps,
            "parameters": parameters,
            "trainable_parameters": trainable,
            "trainable_share": round(trainable / parameters, 6),
        },
    )


if __name__ == "__main__":
    main(train)
