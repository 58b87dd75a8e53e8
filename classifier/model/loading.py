"""Load the trained classifier to score texts, or read only its settings; silence the libraries that do the loading."""

import contextlib
from typing import Any

from classifier.distributed.devices import device, uses_bf16
from classifier.errors import InputError
from classifier.files.digests import digest_of
from classifier.files.formats import read_json
from classifier.files.places import ADAPTER, BASE
from classifier.model.build import last_layer, read_tied_weights
from classifier.model.integrity import check_folder_intact, check_models_exist


def silence_libraries() -> None:
    """Switch off the progress bars of transformers and those warnings that a user can do nothing about.

    Errors still show. The pipeline draws its own progress bars.
    """
    import warnings

    import transformers

    # peft 0.21 asks transformers for an attribute by its old name.
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
    # peft 0.21 warns when it creates AdaLoRA's layers. It applies the saved ranks later, when it loads the weights.
    warnings.filterwarnings("ignore", "The following rank_pattern keys did not match", RuntimeWarning)
    # peft 0.21 takes a matrix whose rank AdaLoRA has lowered to 0 for a shard of another matrix.
    warnings.filterwarnings("ignore", r"Adapter .* LoRA tensor\(s\) have invalid shape", UserWarning)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def load_classifier(precision: str = "fp32"):
    """Return the model of models/adapter on models/base, in evaluation mode on `device()`, and its tokenizer.

    An adapter is merged into the weights of models/base, in fp32, if peft can merge adapters of its method.

    Args:
        precision: fp32, bf16 or auto, as in `uses_bf16`. In bf16 the weights are rounded, see `round_to_bf16`.

    Raises:
        InputError: The precision has another value, a folder is missing, a file is damaged, the weights are not
            safetensors, an older version of the code made the adapter, or the adapter was trained on another base.
    """
    from peft import PeftModel
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    from classifier.model.fast.modules import use_fast_modules

    silence_libraries()
    scoring_device = device()
    in_bf16 = uses_bf16(precision, scoring_device)
    check_models_exist()
    has_adapter = (ADAPTER / "adapter_config.json").is_file()  # else models/adapter has all weights
    check_folder_intact(BASE)
    check_folder_intact(ADAPTER, "adapter_model.safetensors" if has_adapter else "model.safetensors")
    config = AutoConfig.from_pretrained(ADAPTER, local_files_only=True)
    check_version(config.to_dict(), "task", "decision")
    # On another base, transformers would replace weights of the wrong shape with random ones.
    if has_adapter and getattr(config, "base", None) != digest_of({}, [BASE]):
        raise InputError(
            f"{ADAPTER}: was trained on another {BASE}; bring both back with `dvc checkout --force {BASE} {ADAPTER}`, "
            "or train an adapter for this one with `dvc repro`"
        )
    model, loading = AutoModelForSequenceClassification.from_pretrained(
        BASE if has_adapter else ADAPTER,
        config=config,
        local_files_only=True,
        use_safetensors=True,
        ignore_mismatched_sizes=has_adapter,  # the adapter's head replaces the base's
        output_loading_info=True,
    )
    if has_adapter:
        read_tied_weights(model, loading["missing_keys"])
    use_fast_modules(model)
    if has_adapter:
        model = merge_adapter(PeftModel.from_pretrained(model, ADAPTER))
    if in_bf16:
        round_to_bf16(model)
    tokenizer = AutoTokenizer.from_pretrained(ADAPTER, local_files_only=True)
    return model.to(scoring_device).eval(), tokenizer


def merge_adapter(model):
    """Return a peft model's network with the adapter merged into its weights.

    The peft model itself is returned if peft cannot merge the adapter: a learned prompt changes no weights, and peft
    has no merge for some methods.
    """
    from peft.utils import ModulesToSaveWrapper

    if model.active_peft_config.is_prompt_learning:
        return model
    # The merge of some methods fails on a wrapped head of more than one layer, such as RoBERTa's: unwrap it first.
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, ModulesToSaveWrapper):
                setattr(parent, name, child.modules_to_save[child.active_adapter])
    with contextlib.suppress(NotImplementedError):
        model = model.merge_and_unload()
    return model


def round_to_bf16(model) -> None:
    """Round the weights of a classifier to bf16, except those of its last layer, which then computes in fp32.

    The last layer contains the calibration, and in a regression its output is the answer itself. bf16 keeps 8
    significant bits of a number: 1,003 would become 1,004. Buffers stay in fp32 too: with 8 significant bits, the
    frequencies of rotary embeddings would shift the positions of tokens.
    """
    import torch

    last = last_layer(model)
    for parameter in model.parameters():
        if parameter is not last.weight and parameter is not last.bias:
            parameter.data = parameter.data.to(torch.bfloat16)
    last.register_forward_pre_hook(lambda layer, inputs: (inputs[0].float(),))


def trained_settings() -> dict[str, Any]:
    """Return the content of models/adapter/config.json (see saving.py).

    Raises:
        InputError: A folder of models/ is missing, a config.json is damaged, or an older version of the code made the
            adapter.
    """
    check_models_exist()
    settings = read_json(ADAPTER / "config.json")
    check_version(settings, "task", "decision", "trained")
    return settings


def check_version(settings: dict[str, Any], *names: str) -> None:
    """Raise InputError if the config of models/adapter lacks one of these settings, which older versions did not have.

    settings: The content of config.json.
    """
    if not settings.keys() >= {*names}:
        raise InputError(f"{ADAPTER}: made by an older version of the code; train it again with `dvc repro train`")
