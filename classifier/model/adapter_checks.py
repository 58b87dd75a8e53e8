"""Check the peft settings of a method against the classifier; turn errors of peft into errors of the settings."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from classifier.errors import InputError, out_of_memory


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
