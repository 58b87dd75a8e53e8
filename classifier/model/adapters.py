"""Choose which weights of a classifier train: those of a peft adapter, all weights, or the head alone."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from classifier.errors import InputError, out_of_memory
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


def check_layers(model, setting: str, names: list[str]) -> None:
    """Check that the model has a layer for each name. peft refuses names only if the model has a layer for none.

    Args:
        model: The classifier.
        setting: The setting of peft that lists the names, for the error.
        names: Suffixes of layer names, such as "query" or "layer.0.intermediate".

    Raises:
        InputError: The model has no layer for one of the names.
    """
    import torch

    layers = {f".{name}": layer for name, layer in model.named_modules()}
    linear = sorted({name.rpartition(".")[2] for name, layer in layers.items() if isinstance(layer, torch.nn.Linear)})
    for wanted in names:
        if not any(name.endswith(f".{wanted}") for name in layers):
            raise InputError(
                f"params.yaml: {setting}: the model has no layer {wanted!r}; its linear layers are {', '.join(linear)}"
            )


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


def check_adapter(config, max_positions: int | None) -> None:
    """Refuse settings that peft accepts, but that later fail or give another adapter than the requested one.

    Args:
        config: A peft config.
        max_positions: The most tokens that the encoder reads. None: the encoder's config does not say.

    Raises:
        InputError: A setting is outside of its range.
    """
    from peft import AdaLoraConfig

    if isinstance(config, AdaLoraConfig) and config.target_r >= config.init_r:
        raise settings_error(f"target_r: {config.target_r} is not below init_r, {config.init_r}; lower it")
    if isinstance(config, AdaLoraConfig) and config.deltaT < 1:
        raise settings_error(f"deltaT: {config.deltaT} is not a number of steps; raise it to 1 or more")
    # pissa_niter draws a random decomposition of the base's weights, and loading draws another one.
    if (init := str(getattr(config, "init_lora_weights", ""))).startswith("pissa_niter"):
        raise settings_error(f"init_lora_weights: {init} is random, so the adapter cannot be loaded again; use pissa")
    virtual = getattr(config, "num_virtual_tokens", None)
    if virtual and max_positions and virtual + 2 > max_positions:
        raise settings_error(
            f"num_virtual_tokens: {virtual} leave no room for a text below the model's limit of {max_positions}; "
            "lower it"
        )


def check_padding(model) -> None:
    """Refuse a learned prompt if padding changes the logits.

    For a learned prompt, peft gives the network embeddings in place of token ids. Without token ids, a decoder cannot
    find the last token that is not padding. It reads the last position of each row, which is padding in a shorter text.

    model: The classifier, wrapped by peft. It is left in evaluation mode.

    Raises:
        InputError: Padding changes the logits.
    """
    import torch

    padding = model.config.pad_token_id
    ids = torch.tensor([[int(padding == 0)] * 2 + [padding]])
    mask = torch.tensor([[1, 1, 0]])
    with torch.no_grad():
        padded = model.eval()(input_ids=ids, attention_mask=mask).logits
        alone = model(input_ids=ids[:, :2], attention_mask=mask[:, :2]).logits
    if not torch.allclose(padded, alone, rtol=1e-3, atol=1e-3):
        problem = "does not suit a decoder, which would read the padding of shorter texts; choose another method"
        raise settings_error(f"peft_type: {model.active_peft_config.peft_type.value} {problem}")


def settings_error(problem: str) -> InputError:
    """Return the error of a wrong peft setting. problem: the setting, what is wrong and how to fix it."""
    return InputError(f"params.yaml: the peft settings of the method: {problem}")


@contextmanager
def refuse_peft_errors() -> Iterator[None]:
    """Raise peft's errors about unusable settings as InputErrors.

    The `with` block should hold nothing but calls of peft and of the model that peft has wrapped: all their errors are
    taken for errors of the settings. Only an out-of-memory error passes unchanged.
    """
    kinds = (ValueError, TypeError, LookupError, AttributeError, AssertionError, ImportError, RuntimeError, re.error)
    try:
        yield
    except kinds as error:
        if out_of_memory(error):
            raise
        raise settings_error((str(error) or repr(error)).splitlines()[0]) from error
