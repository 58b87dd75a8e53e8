"""What people would write instead, as the documentation of transformers and peft has it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from classifier.distributed.devices import device

BATCH = 16


def lora(base: Path) -> dict[str, Any]:
    """LoRA on query and value, as most set it."""
    from transformers import AutoConfig

    targets = ["q_lin", "v_lin"] if AutoConfig.from_pretrained(base).model_type == "distilbert" else ["query", "value"]
    return {"r": 8, "lora_alpha": 32, "target_modules": targets}


def trainer(
    base: Path,
    texts: list[str],
    labels: list[int],
    classes: int,
    length: int,
    frugal: bool,
    folder: str,
    epochs: int = 1,
    rate: float = 2e-4,
    bf16: bool = False,
    callbacks: Sequence = (),
    order: str | None = None,
) -> Callable[[], object]:
    """Epochs of these texts under Trainer, ready to be trained, as most write it: all texts padded to `length`, the
    checkpoint's dropout; in fp32, or under Trainer's autocast in bf16. frugal: as its documentation advises for speed:
    texts of like length together, padded to the longest of a batch; and no dropout, which lets torch use its fused
    attention on a CPU. order: Trainer's name for another one of the texts.
    """
    import torch
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import (
        AutoConfig,
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    torch.use_deterministic_algorithms(False)  # which is ours, and slower on a GPU
    tokenizer = AutoTokenizer.from_pretrained(base)
    config = AutoConfig.from_pretrained(base, num_labels=classes)
    for name, value in config.to_dict().items():
        if frugal and "dropout" in name and isinstance(value, float):
            setattr(config, name, 0.0)
    model = AutoModelForSequenceClassification.from_pretrained(base, config=config)
    model = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", **lora(base)))
    encoded = tokenizer(texts, truncation=True, padding=False if frugal else "max_length", max_length=length)
    settings = TrainingArguments(
        folder,
        per_device_train_batch_size=BATCH,
        num_train_epochs=epochs,
        learning_rate=rate,
        bf16=bf16,
        use_cpu=device().type == "cpu",  # else it takes bf16 for a GPU's alone
        train_sampling_strategy=order or ("group_by_length" if frugal else "random"),
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    rows = Dataset.from_dict({**encoded, "labels": labels})
    collate = DataCollatorWithPadding(tokenizer)
    return Trainer(model, settings, train_dataset=rows, data_collator=collate, callbacks=[*callbacks]).train


def pipeline(folder: str, length: int, batch: int) -> Callable[[list[str]], list[str]]:
    """texts -> labels, of a model in transformers' form."""
    from transformers import pipeline

    classify = pipeline("text-classification", folder, device=device())
    return lambda texts: [
        answer["label"] for answer in classify(texts, batch_size=batch, truncation=True, max_length=length)
    ]
