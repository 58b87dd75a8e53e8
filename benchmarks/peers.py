"""The usual alternatives that benchmarks compare with: transformers' Trainer with peft's LoRA, and its pipeline.

They are set up as the documentation of transformers and peft shows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifier.distributed.devices import device

BATCH = 16


def lora_settings(base: Path) -> dict[str, Any]:
    """Return the common settings of LoRA: rank 8 on query and value."""
    from transformers import AutoConfig

    names = {"distilbert": ["q_lin", "v_lin"], "mpnet": ["q", "v"]}
    targets = names.get(AutoConfig.from_pretrained(base).model_type, ["query", "value"])
    return {"r": 8, "lora_alpha": 32, "target_modules": targets}


@dataclass(frozen=True)
class TrainerSettings:
    """The settings of a training by Trainer.

    Args:
        base: folder of the encoder.
        classes: number of labels.
        length: tokens of a text at most.
        frugal: if False, pad every text to `length` and keep the checkpoint's dropout, as most people write it. If
            True, follow the documentation's advice for speed: batch texts of similar length, pad them to the longest of
            the batch, and use no dropout, which lets torch use its fused attention on a CPU.
        epochs, rate: number of epochs, and learning rate.
        bf16: use Trainer's autocast to bf16; otherwise train in fp32.
        callbacks: Trainer callbacks.
        order: Trainer's name of the order of the texts. None: the order that `frugal` sets.
    """

    base: Path
    classes: int
    length: int
    frugal: bool
    epochs: int = 1
    rate: float = 2e-4
    bf16: bool = False
    callbacks: Sequence = ()
    order: str | None = None


def adapted_model(settings: TrainerSettings):
    """Load the classifier with LoRA."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForSequenceClassification

    config = AutoConfig.from_pretrained(settings.base, num_labels=settings.classes)
    for name, value in config.to_dict().items():
        if settings.frugal and "dropout" in name and isinstance(value, float):
            setattr(config, name, 0.0)
    model = AutoModelForSequenceClassification.from_pretrained(settings.base, config=config)
    return get_peft_model(model, LoraConfig(task_type="SEQ_CLS", **lora_settings(settings.base)))


def trainer(settings: TrainerSettings, texts: list[str], labels: list[int], folder: str) -> Callable[[], object]:
    """Prepare a training by Trainer, with `folder` for its output; return the function that trains."""
    import torch
    from datasets import Dataset
    from transformers import AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments

    torch.use_deterministic_algorithms(False)  # the pipeline switches it on, and it is slower on a GPU
    tokenizer = AutoTokenizer.from_pretrained(settings.base)
    padding = False if settings.frugal else "max_length"
    encoded = tokenizer(texts, truncation=True, padding=padding, max_length=settings.length)
    arguments = TrainingArguments(
        folder,
        per_device_train_batch_size=BATCH,
        num_train_epochs=settings.epochs,
        learning_rate=settings.rate,
        bf16=settings.bf16,
        use_cpu=device().type == "cpu",  # without this, Trainer accepts bf16 on a GPU only
        train_sampling_strategy=settings.order or ("group_by_length" if settings.frugal else "random"),
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    return Trainer(
        adapted_model(settings),
        arguments,
        train_dataset=Dataset.from_dict({**encoded, "labels": labels}),
        data_collator=DataCollatorWithPadding(tokenizer),
        callbacks=[*settings.callbacks],
    ).train


def pipeline(folder: str, length: int, batch: int, **options: Any) -> Callable[[list[str]], list[str]]:
    """Return a function from texts to labels, by transformers' pipeline on a model in transformers' format.

    Args:
        folder: of the model.
        length: tokens of a text at most.
        batch: texts of a batch.
        options: further arguments of transformers' pipeline, such as dtype.
    """
    from transformers import pipeline

    classify = pipeline("text-classification", folder, device=device(), **options)
    return lambda texts: [
        answer["label"] for answer in classify(texts, batch_size=batch, truncation=True, max_length=length)
    ]
