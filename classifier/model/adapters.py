"""Choose which weights of a classifier train: those of a peft adapter, all weights, or the head alone."""

from typing import Any

from classifier.model.adapter_checks import (
    check_adapter,
    check_layers,
    check_padding,
    refuse_peft_errors,
    settings_error,
)
from classifier.params.catalogue import Method


def apply_method(model, head: list[str], method: Method, defaults: dict[str, Any], steps: int):
    """Return the model, set to train an adapter, all weights or the head alone, with all other weights frozen.

    The head's last layer has fresh weights, so the head always trains in full, and its layers are removed from
    target_modules. If target_modules has no other layers, there is no adapter, and only the head and
    modules_to_save train.

    Args:
        model: The classifier that build_classifier returns.
        head: The names of the head's modules.
        method: An entry of `methods:` in params.yaml.
        defaults: The model's peft settings. Each is used if the method's config class has the setting and the method
            does not set it.
        steps: Planned steps of the optimizer, for AdaLoRA's schedule.

    Raises:
        InputError: peft or the encoder cannot use the method's settings.
    """
    if method.peft == "full":
        return model
    trained_modules = head
    if method.peft != "head":
        settings = peft_settings(model, head, method.peft, defaults, steps)
        if settings.get("target_modules") != []:
            return add_adapter(model, settings)
        trained_modules = settings.get("modules_to_save", head)
    for name, parameter in model.named_parameters():
        parameter.requires_grad = any(f".{module}." in f".{name}" for module in trained_modules)
    return model


def peft_settings(
    model, head: list[str], method_settings: dict[str, Any], defaults: dict[str, Any], steps: int
) -> dict[str, Any]:
    """Return the settings of peft's config class. The method's settings override the defaults.

    The defaults override two kinds of computed settings: the sizes of the encoder, and AdaLoRA's schedule.
    `method_settings` is the mapping `peft` of the method. The other arguments and the errors are those of
    `apply_method`.
    """
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING

    defaults = {
        # AdaLoRA trains the first tenth of the steps at full rank and the last two fifths at the final rank, roughly
        # the shares of Zhang et al. 2023.
        "total_step": steps,
        "tinit": steps // 10,
        "tfinal": 2 * steps // 5,
        # Methods that learn a prompt need these sizes. peft finds them for some encoders only.
        "token_dim": model.config.hidden_size,
        "num_layers": model.config.num_hidden_layers,
        "num_attention_heads": model.config.num_attention_heads,
        "num_transformer_submodules": 1,
        **defaults,
    }
    peft_type = str(method_settings.get("peft_type"))
    if peft_type not in PEFT_TYPE_TO_CONFIG_MAPPING:
        raise settings_error(f"peft_type: {peft_type!r} is not a method of peft; one is LORA")
    if isinstance(method_settings.get("target_modules"), str):  # a pattern or all-linear selects the layers by itself
        defaults.pop("layers_to_transform", None)
    known = PEFT_TYPE_TO_CONFIG_MAPPING[peft_type].__dataclass_fields__
    settings = {name: value for name, value in defaults.items() if name in known} | method_settings
    if "modules_to_save" in known:
        modules = settings.get("modules_to_save") or []
        if not isinstance(modules, list):
            raise settings_error(f"modules_to_save: {modules!r} is not a list; give a list of names of modules")
        check_layers(model, "modules_to_save", modules)
        settings["modules_to_save"] = sorted({*head, *modules})
    if isinstance(targets := settings.get("target_modules"), list):
        check_layers(model, "target_modules", targets)
        settings["target_modules"] = [name for name in targets if not is_in_head(name, model, head)]
    return settings


def is_in_head(name: str, model, head: list[str]) -> bool:
    """Return whether all layers of this name are modules of the head or inside one."""
    layers = [layer for layer, _ in model.named_modules() if f".{layer}".endswith(f".{name}")]
    return all(layer.split(".")[0] in head for layer in layers)


def add_adapter(model, settings: dict[str, Any]):
    """Return the model wrapped by peft, with an adapter of these settings and fast modules for it.

    Raises:
        InputError: peft or the encoder cannot use the settings.
    """
    import torch
    from peft import get_peft_config, get_peft_model

    from classifier.model.fast.modules import use_fast_modules

    with refuse_peft_errors():
        config = get_peft_config({**settings, "task_type": "SEQ_CLS"})
    check_adapter(config, getattr(model.config, "max_position_embeddings", None))
    with refuse_peft_errors():
        model = get_peft_model(model, config)
        with torch.no_grad():  # only a forward pass shows that an encoder cannot take a prefix
            model(input_ids=torch.zeros((1, 2), dtype=torch.long))
    if config.is_prompt_learning:
        check_padding(model)
    use_fast_modules(model)
    return model
