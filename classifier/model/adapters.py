"""What of a classifier a method trains: one of peft's adapters, everything, or the head alone."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from classifier.errors import InputError, out_of_memory
from classifier.params.catalogue import Method


def check_layers(model, setting: str, names: list[str]) -> None:
    """Raises InputError if no layer of the model bears one of the names; peft looks only whether any of them does."""
    import torch

    layers = {f".{name}": layer for name, layer in model.named_modules()}
    linear = sorted({name.rpartition(".")[2] for name, layer in layers.items() if isinstance(layer, torch.nn.Linear)})
    for wanted in names:
        if not any(name.endswith(f".{wanted}") for name in layers):
            raise InputError(
                f"params.yaml: {setting}: the model has no layer {wanted!r}; its linear layers are {', '.join(linear)}"
            )


def stands_in(head: list[str], name: str, model) -> bool:
    """Whether all layers of the model that bear the name are a module of the head or stand inside one."""
    layers = [layer for layer, _ in model.named_modules() if f".{layer}".endswith(f".{name}")]
    return all(layer.split(".")[0] in head for layer in layers)


def with_method(model, head: list[str], method: Method, defaults: dict[str, Any], steps: int):
    """The model with what the method trains set to require gradients, and the rest frozen.

    defaults: peft settings under the method's own, where its config class knows them. The head, whose weights are
    fresh, always trains in full, beside modules_to_save: its layers are taken out of target_modules, and if no others
    stand there, these modules are all that trains. Raises InputError for settings that peft or the encoder cannot use.
    """
    if method.peft == "full":
        return model
    in_full = head
    if method.peft != "head":
        settings = peft_settings(model, head, method.peft, defaults, steps)
        if settings.get("target_modules") != []:
            return adapted(model, settings)
        in_full = settings.get("modules_to_save", head)
    for name, parameter in model.named_parameters():
        parameter.requires_grad = any(f".{module}." in f".{name}" for module in in_full)
    return model


def peft_settings(model, head: list[str], own: dict[str, Any], defaults: dict[str, Any], steps: int) -> dict[str, Any]:
    """All settings of peft's config class: the method's own, over the model's and those that follow from the model."""
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING

    defaults = {
        # AdaLoRA: the first tenth of the steps at full rank, the last two fifths at the final one, roughly the
        # shares of Zhang et al. 2023.
        "total_step": steps,
        "tinit": steps // 10,
        "tfinal": 2 * steps // 5,
        # Methods that learn a prompt: peft finds these for some encoders only.
        "token_dim": model.config.hidden_size,
        "num_layers": model.config.num_hidden_layers,
        "num_attention_heads": model.config.num_attention_heads,
        "num_transformer_submodules": 1,
        **defaults,
    }
    if (kind := str(own.get("peft_type"))) not in PEFT_TYPE_TO_CONFIG_MAPPING:
        raise refusal(f"peft_type: {kind!r} is none of peft's; one is LORA")
    if isinstance(own.get("target_modules"), str):  # a pattern, or all-linear, which says of which layers, too
        defaults.pop("layers_to_transform", None)
    known = PEFT_TYPE_TO_CONFIG_MAPPING[kind].__dataclass_fields__
    settings = {name: value for name, value in defaults.items() if name in known} | own
    if "modules_to_save" in known:  # the head's fresh weights always, beside the method's own
        more = settings.get("modules_to_save") or []
        if not isinstance(more, list):
            raise refusal(f"modules_to_save: a list is needed, not {more!r}")
        check_layers(model, "modules_to_save", more)
        settings["modules_to_save"] = sorted({*head, *more})
    if isinstance(targets := settings.get("target_modules"), list):
        check_layers(model, "target_modules", targets)
        settings["target_modules"] = [name for name in targets if not stands_in(head, name, model)]
    return settings


def adapted(model, settings: dict[str, Any]):
    """The model with peft's adapter of these settings on it."""
    import torch
    from peft import AdaLoraConfig, get_peft_config, get_peft_model

    from classifier.model.fast.lora import fast_lora

    with peft_errors_refused():
        config = get_peft_config({**settings, "task_type": "SEQ_CLS"})
    if isinstance(config, AdaLoraConfig) and config.target_r >= config.init_r:
        raise refusal(f"target_r: {config.target_r} is not below init_r, {config.init_r}; lower it")
    if isinstance(config, AdaLoraConfig) and config.deltaT < 1:
        raise refusal(f"deltaT: {config.deltaT} is no number of steps; raise it to 1 or more")
    if (init := str(getattr(config, "init_lora_weights", ""))).startswith("pissa_niter"):
        raise refusal(f"init_lora_weights: {init} takes from the base's weights what loading draws anew; take pissa")
    virtual = getattr(config, "num_virtual_tokens", None)
    limit = getattr(model.config, "max_position_embeddings", None)
    if virtual and limit and virtual + 2 > limit:
        raise refusal(
            f"num_virtual_tokens: {virtual} leave no room for a text below the model's limit of {limit}; lower it"
        )
    with peft_errors_refused():
        model = get_peft_model(model, config)
        with torch.no_grad():  # an encoder that cannot take a prefix says so only here
            model(input_ids=torch.zeros((1, 2), dtype=torch.long))
    fast_lora(model)
    return model


def refusal(problem: str) -> InputError:
    return InputError(f"params.yaml: the peft settings of the method: {problem}")


@contextmanager
def peft_errors_refused() -> Iterator[None]:
    """What peft raises for settings that it cannot use, as the user's mistake; only its own calls stand inside."""
    kinds = (ValueError, TypeError, LookupError, AttributeError, AssertionError, ImportError, RuntimeError, re.error)
    try:
        yield
    except kinds as error:
        if out_of_memory(error):
            raise
        raise refusal((str(error) or repr(error)).splitlines()[0]) from error
