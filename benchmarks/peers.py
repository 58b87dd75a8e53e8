"""What people would write instead, as the documentation of transformers and peft has it."""

import tempfile
from collections.abc import Callable
from pathlib import Path

BATCH = 16
LORA = {"r": 8, "lora_alpha": 32, "target_modules": ["query", "value"]}


def trainer_steps(base: Path, texts: list[str], labels: list[int], classes: int, length: int) -> Callable[[], object]:
    """One epoch of these texts, ready to be trained: Trainer, padded to the full length, the checkpoint's dropout."""
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=classes)
    model = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", **LORA))
    encoded = tokenizer(texts, truncation=True, padding="max_length", max_length=length)
    folder = tempfile.mkdtemp()
    settings = TrainingArguments(
        folder,
        per_device_train_batch_size=BATCH,
        num_train_epochs=1,
        learning_rate=2e-4,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    return Trainer(model, settings, train_dataset=Dataset.from_dict({**encoded, "labels": labels})).train


def pipeline(folder: str, length: int, batch: int) -> Callable[[list[str]], list[str]]:
    """texts -> labels, of an exported model."""
    from transformers import pipeline

    classify = pipeline("text-classification", folder)
    return lambda texts: [
        answer["label"] for answer in classify(texts, batch_size=batch, truncation=True, max_length=length)
    ]
