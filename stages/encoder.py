"""The classifier and its forward pass, shared by train, evaluate and infer.

The classifier is AutoModelForSequenceClassification on models/base. models/adapter holds what was trained on top
of it (an adapter and the head, or all weights), the tokenizer, and a config.json with the label names and two values
of our own: `tokenize`, the settings that the texts were cut with, and `calibration_temperature`, by which the last
layer is already divided (see stages.calibration).
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from tqdm import tqdm

from stages.files import ADAPTER, BASE, read_json, write_json
from stages.params import InputError

TOKENS_PER_BATCH = 8192  # padding included; larger batches are not faster on a CPU and cost memory


def quiet() -> None:
    """Leave progress to our own bars; errors still show."""
    import warnings

    import transformers

    # Nothing that a user could fix: peft 0.21 asks transformers for an attribute by its old name, finds AdaLoRA's
    # ranks, which it restores elsewhere, unused, and takes a matrix whose rank is now 0 for a shard of another.
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
    warnings.filterwarnings("ignore", "The following rank_pattern keys did not match", RuntimeWarning)
    warnings.filterwarnings("ignore", r"Adapter .* LoRA tensor\(s\) have invalid shape", UserWarning)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def device():
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu")


def pad(sequences: list[np.ndarray], pad_id: int):
    """Token ids of different lengths as a batch: input_ids and attention_mask, both (rows, longest) int64."""
    import torch

    width = max(len(ids) for ids in sequences)
    input_ids = np.full((len(sequences), width), pad_id, dtype=np.int64)
    mask = np.zeros((len(sequences), width), dtype=np.int64)
    for row, ids in enumerate(sequences):
        input_ids[row, : len(ids)] = ids
        mask[row, : len(ids)] = 1
    return {"input_ids": torch.from_numpy(input_ids), "attention_mask": torch.from_numpy(mask)}


def batches(lengths: np.ndarray, tokens: int = TOKENS_PER_BATCH) -> Iterator[np.ndarray]:
    """Row numbers by falling length, so that a batch needs little padding and the first shows the peak of memory.

    lengths: (rows,). Each batch has at most `tokens` tokens, padding included, or a single row.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        stop = start + max(1, tokens // int(lengths[order[start]]))
        yield order[start:stop]
        start = stop


def logits(model, sequences: list[np.ndarray], desc: str | None = None) -> np.ndarray:
    """(rows, labels) float32, in the order of the sequences. Leaves the model in evaluation mode."""
    import torch

    model.eval()
    lengths = np.array([len(ids) for ids in sequences])
    out = np.empty((len(sequences), model.config.num_labels), dtype=np.float32)
    with (
        torch.inference_mode(),
        tqdm(total=len(sequences), desc=desc, unit="text", disable=None if desc else True, leave=False) as bar,
    ):
        for rows in batches(lengths):
            batch = pad([sequences[row] for row in rows], model.config.pad_token_id or 0)
            batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
            out[rows] = model(**batch).logits.float().cpu().numpy()
            bar.update(len(rows))
    return out


def load_classifier():
    """(model, tokenizer) of models/adapter on models/base, merged where the method can be, ready to score.

    Raises InputError if a folder is missing.
    """
    from peft import PeftModel
    from peft.utils import ModulesToSaveWrapper
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    quiet()
    for folder, step in ((BASE, "base_model"), (ADAPTER, "train")):
        if not (folder / "config.json").is_file():
            raise InputError(f"{folder}: no model there; make it with `dvc repro {step}` or `dvc checkout {folder}`")
    config = AutoConfig.from_pretrained(ADAPTER, local_files_only=True)
    adapter = (ADAPTER / "adapter_config.json").is_file()
    weights = BASE if adapter else ADAPTER
    model = AutoModelForSequenceClassification.from_pretrained(
        weights,
        config=config,
        local_files_only=True,
        ignore_mismatched_sizes=adapter,  # its head replaces the base's
    )
    if adapter:
        model = PeftModel.from_pretrained(model, ADAPTER)
        if not model.active_peft_config.is_prompt_learning:  # a prompt has no weights to merge into
            # Some methods' merge fails on a wrapped head of more than one layer (RoBERTa's): unwrap it first.
            for parent in list(model.modules()):
                for name, child in list(parent.named_children()):
                    if isinstance(child, ModulesToSaveWrapper):
                        setattr(parent, name, child.modules_to_save[child.active_adapter])
            with contextlib.suppress(NotImplementedError):  # peft cannot merge all of its methods
                model = model.merge_and_unload()
    return model.to(device()).eval(), AutoTokenizer.from_pretrained(ADAPTER, local_files_only=True)


def save_classifier(network, settings: dict[str, Any]) -> None:
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
