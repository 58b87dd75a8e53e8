"""What people would write instead, as the documentation of transformers and peft has it; in fp32."""

from collections.abc import Callable, Sequence
from pathlib import Path

BATCH = 16
LORA = {"r": 8, "lora_alpha": 32, "target_modules": ["query", "value"]}


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
    callbacks: Sequence = (),
) -> Callable[[], object]:
    """Epochs of these texts under Trainer, ready to be trained, as most write it: all texts padded to `length`, the
    checkpoint's dropout. frugal: as its documentation advises for speed: texts of like length together, padded to the
    longest of a batch; and no dropout, which lets torch use its fused attention on a CPU.
    """
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    tokenizer = AutoTokenizer.from_pretrained(base)
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0} if frugal else {}
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=classes, **dropout)
    model = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", **LORA))
    encoded = tokenizer(texts, truncation=True, padding=False if frugal else "max_length", max_length=length)
    settings = TrainingArguments(
        folder,
        per_device_train_batch_size=BATCH,
        num_train_epochs=epochs,
        learning_rate=rate,
        train_sampling_strategy="group_by_length" if frugal else "random",
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

    classify = pipeline("text-classification", folder)
    return lambda texts: [
        answer["label"] for answer in classify(texts, batch_size=batch, truncation=True, max_length=length)
    ]
