"""The classifier: built of encoder and head, set to train what the method trains, and saved.

models/adapter holds what was trained on top of models/base (an adapter and what trains in full, the head at least; or
all weights), the tokenizer, validation.parquet, its prediction for each validation text, and a config.json with the
label names and seven values of our own: `base`, a digest of models/base; `columns` and `separator`, which say what a
text was read from; `tokenize`, the settings that the texts were cut with; `calibration_temperature` and
`calibration_bias`, which the last layer has already (see calibration.py); and `trained`, on what and how.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stages.classifier import checkpoint
from stages.files import ADAPTER, BASE, VALIDATION, read_json, replaced, write_json, write_table
from stages.settings.catalogue import Method
from stages.settings.errors import InputError, out_of_memory


def classifier(labels: list[str], dropout: float | None):
    """(model, names of the head's modules): models/base under a classification head with fresh weights.

    dropout: of the pretrained network; None keeps the checkpoint's own. Raises InputError if models/base lacks weights
    of the encoder itself.
    """
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    from stages.classifier.first_token import first_token_only
    from stages.classifier.mpnet import fused_attention

    config = AutoConfig.from_pretrained(
        BASE,
        local_files_only=True,
        id2label=dict(enumerate(labels)),
        label2id={v: k for k, v in enumerate(labels)},
        problem_type="single_label_classification",  # whatever the checkpoint was for; pipeline() goes by it
    )
    if dropout is not None:
        for name, value in config.to_dict().items():
            if "dropout" in name and isinstance(value, float):
                setattr(config, name, dropout)
    model, loading = AutoModelForSequenceClassification.from_pretrained(
        BASE,
        config=config,
        local_files_only=True,
        use_safetensors=True,
        dtype=torch.float32,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # the head of a checkpoint that was fine-tuned for another number of labels
    )
    fresh = loading["missing_keys"] | {key for key, *_ in loading["mismatched_keys"]}
    encoder = f"{model.base_model_prefix}."
    head = {key.removeprefix(encoder).split(".")[0] for key in fresh}
    # A checkpoint that was fine-tuned for other labels has weights for a part of the head: all of it trains.
    head |= {name.split(".")[0] for name, _ in model.named_parameters() if not name.startswith(encoder)}
    if lacking := sorted(key for key in fresh if key.startswith(encoder) and not key.startswith(f"{encoder}pooler.")):
        raise InputError(
            f"{BASE}: the checkpoint lacks {len(lacking)} weights of the encoder, {lacking[0]} for one: "
            f"it is no {config.model_type} as transformers has it; choose another model"
        )
    last = [name for name, module in model.named_children() if any(True for _ in module.parameters())][-1]
    if not any(key.startswith(f"{last}.") for key in fresh):  # fine-tuned for as many labels, but for another task
        setattr(model, last, getattr(AutoModelForSequenceClassification.from_config(config), last))
    if getattr(last_layer(model), "bias", None) is None:
        raise InputError(
            f"{BASE}: the head of {config.model_type} ends in no linear layer with a bias, which the calibration sets; "
            "choose another model"
        )
    first_token_only(model)
    fused_attention(model)
    return model, sorted(head)


def last_layer(model):
    """The linear layer that the logits come from, under a method of peft or not; None if it is of another kind."""
    import torch

    network = model.get_base_model() if hasattr(model, "get_base_model") else model  # without a prompt's own layers
    linear = [module for module in network.modules() if isinstance(module, torch.nn.Linear)]
    return next((module for module in reversed(linear) if module.out_features == model.config.num_labels), None)


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

    from stages.classifier.lora import fast_lora

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


def save_classifier(network, settings: dict[str, Any], validation=None) -> None:
    """Write models/adapter/: the trained weights, tokenizer, and config.json with `base` and `settings` added to it.

    validation: a DataFrame of the validation rows (see stages/train.py), which goes with them.
    """
    from transformers import AutoTokenizer

    network.config.update({"base": checkpoint.key({}, [BASE]), **settings})
    with replaced(ADAPTER) as folder:
        network.save_pretrained(folder)
        network.config.save_pretrained(folder)
        AutoTokenizer.from_pretrained(BASE, local_files_only=True).save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)  # peft's empty model card
        if validation is not None:
            write_table(folder / VALIDATION.name, validation, labels=list(network.config.id2label.values()))
        if (path := folder / "adapter_config.json").is_file():
            config = network.active_peft_config  # peft writes its sets in the order of their hashes
            content = {k: sorted(v) if isinstance(getattr(config, k), set) else v for k, v in read_json(path).items()}
            write_json(path, dict(sorted(content.items())))
