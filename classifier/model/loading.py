"""The trained classifier, loaded to score."""

import contextlib
from typing import Any

from classifier.distributed.devices import device
from classifier.errors import InputError
from classifier.files.digests import digest_of
from classifier.files.formats import read_json
from classifier.files.places import ADAPTER, BASE
from classifier.model.forward import quiet


def check_folders() -> None:
    """Raises InputError if models/base or models/adapter is missing."""
    for folder, step in ((BASE, "base_model"), (ADAPTER, "train")):
        if not (folder / "config.json").is_file():
            raise InputError(f"{folder}: no model there; make it with `dvc repro {step}` or `dvc checkout {folder}`")


def trained_settings() -> dict[str, Any]:
    """models/adapter/config.json. Raises InputError if models/ lacks a folder, or an older version made the adapter."""
    check_folders()
    settings = read_json(ADAPTER / "config.json")
    if "trained" not in settings:
        raise InputError(f"{ADAPTER}: made by an older version of the code; `dvc repro train` makes it anew")
    return settings


def load_classifier():
    """(model, tokenizer) of models/adapter on models/base, merged where the method can be, ready to score.

    Raises InputError if a folder is missing, its weights are not safetensors, or the adapter is another base's.
    """
    from peft import PeftModel
    from peft.utils import ModulesToSaveWrapper
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    from classifier.model.fast.first_token import first_token_only
    from classifier.model.fast.mpnet import fused_attention

    quiet()
    check_folders()
    config = AutoConfig.from_pretrained(ADAPTER, local_files_only=True)
    adapter = (ADAPTER / "adapter_config.json").is_file()
    weights = BASE if adapter else ADAPTER
    wanted = {BASE: "model*.safetensors", ADAPTER: f"{'adapter_' * adapter}model.safetensors"}
    for folder, name in wanted.items():
        if not any(folder.glob(name)):  # peft would load a pickle instead, which can run code
            raise InputError(f"{folder}: no {name} there; bring it back with `dvc checkout --force {folder}`")
    # Else transformers would let random weights stand in for what does not fit.
    if adapter and getattr(config, "base", None) != digest_of({}, [BASE]):
        raise InputError(f"{ADAPTER}: was trained on another {BASE}; `dvc repro` trains one for it")
    model = AutoModelForSequenceClassification.from_pretrained(
        weights,
        config=config,
        local_files_only=True,
        use_safetensors=True,
        ignore_mismatched_sizes=adapter,  # its head replaces the base's
    )
    first_token_only(model)
    fused_attention(model)
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
