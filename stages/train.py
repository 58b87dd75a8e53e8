"""Fine-tune the encoder: LoRA or another of peft's methods, everything, or the head alone.

In:  data/tokens/{train,validation}.parquet and models/base/.
Out: models/adapter/ (see stages.encoder), metrics/training.json, and against the optimizer's step
     metrics/training.csv (loss, learning rate) and metrics/validation.csv (loss, accuracy).

The last step's weights are kept; there is no early stopping. A killed run goes on from its last checkpoint and
ends with the same bytes. Wall time and hardware are shown on the terminal only: they would make reruns differ.
"""

import math
import os
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field
from tqdm import tqdm

from stages import checkpoint
from stages.calibration import calibrate, quality
from stages.catalogue import Method, Model
from stages.encoder import device, logits, pad, quiet
from stages.files import ADAPTER, BASE, METRICS, TOKENS, read_json, read_table, write_csv, write_json
from stages.network import classifier, make_optimizer, orthogonality, with_method
from stages.params import InputError
from stages.run import run

CODE = [
    Path(__file__).with_name(f"{name}.py") for name in ("train", "calibration", "checkpoint", "encoder", "network")
]  # what shapes the weights
Count = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


def epoch_batches(lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Row numbers of each batch of an epoch: a function of its arguments alone, so that a resumed run is exact.

    Rows are shuffled, sorted by length within windows of 32 batches (little padding, still random company), and
    the batches shuffled. Within a batch, longest first.
    """
    rng = np.random.default_rng((seed, epoch))
    rows = rng.permutation(len(lengths))
    window = 32 * batch_size
    rows = np.concatenate(
        [
            part[np.argsort(-lengths[part], kind="stable")]
            for part in (rows[start : start + window] for start in range(0, len(rows), window))
        ]
    )
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    return [batches[number] for number in rng.permutation(len(batches))]


def save(network, settings: dict[str, Any]) -> None:
    """Write models/adapter/: the trained weights, tokenizer, and config.json with `settings` added to it."""
    from transformers import AutoTokenizer

    network.save_pretrained(ADAPTER)
    network.config.update(settings)
    network.config.save_pretrained(ADAPTER)
    AutoTokenizer.from_pretrained(BASE, local_files_only=True).save_pretrained(ADAPTER)
    (ADAPTER / "README.md").unlink(missing_ok=True)  # peft's empty model card
    if (path := ADAPTER / "adapter_config.json").is_file():
        config = network.active_peft_config  # peft writes its sets in the order of their hashes
        content = {k: sorted(v) if isinstance(getattr(config, k), set) else v for k, v in read_json(path).items()}
        write_json(path, dict(sorted(content.items())))
    for path in ADAPTER.glob("*.safetensors"):
        path.chmod(0o644)  # as a checkout makes it; safetensors writes 0600


def multiplies_bf16() -> bool:
    """Whether the hardware multiplies matrices in bf16; one that emulates it is slower with it than without."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16"))


def gradient(
    network, sequences: list[np.ndarray], labels: np.ndarray, micro_batch_size: int, bf16: bool = False
) -> float:
    """Add the gradient of the batch's mean cross-entropy; return that mean.

    The mean is over the whole batch, however it is cut into micro-batches. bf16: torch's autocast; weights stay fp32.
    """
    import torch

    total = 0.0
    for start in range(0, len(sequences), micro_batch_size):
        part = slice(start, start + micro_batch_size)
        inputs = pad(sequences[part], network.config.pad_token_id or 0)
        with torch.autocast(network.device.type, torch.bfloat16, enabled=bf16):
            scores = network(**{name: tensor.to(network.device) for name, tensor in inputs.items()}).logits
        answers = torch.from_numpy(labels[part]).to(network.device)
        loss = torch.nn.functional.cross_entropy(scores.float(), answers, reduction="sum") / len(sequences)
        loss.backward()
        total += loss.item()
    if (penalty := orthogonality(network)) is not None:
        penalty.backward()
    return total


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

    def validate(rows: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        part = held_out[:rows]
        return logits(network, part["input_ids"].to_numpy(), "validation"), part["label"].to_numpy()

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
        if not math.isfinite(loss):
            raise InputError(
                f"params.yaml: the loss is {loss} at step {step} of {steps}; lower the learning rate of {rate}"
            )
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
                progress["validation"].append([step, *quality(*validate(validation_rows))])
            bar.write(f"step {step}: validation accuracy {progress['validation'][-1][2]:.3f}")
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

    scores, answers = validate()
    loss, accuracy = quality(scores, answers)
    temperature = calibrate(network, scores, answers)
    save(network, {"tokenize": metadata["tokenize"], "calibration_temperature": temperature})
    for name, columns in {"training": ["loss", "learning_rate"], "validation": ["loss", "accuracy"]}.items():
        write_csv(METRICS / f"{name}.csv", pd.DataFrame(progress[name], columns=["step", *columns]).round(6))
    parameters, trainable = sum(p.numel() for p in network.parameters()), sum(p.numel() for p in trained)
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
    run(train)
