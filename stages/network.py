"""The classifier to train: encoder and head, what of it is trained, and the optimizer.

Everything here is decided by params.yaml; the training loop is in stages.train.
"""

import re
from typing import Any

from stages.catalogue import Method
from stages.files import BASE
from stages.params import InputError

# What peft raises for settings that it cannot use.
PEFT_ERRORS = (ValueError, TypeError, LookupError, AttributeError, AssertionError, ImportError, RuntimeError, re.error)


def classifier(labels: list[str], dropout: float | None):
    """(model, names of the head's modules): models/base under a classification head with fresh weights.

    dropout: of the pretrained network; None keeps the checkpoint's own. Raises InputError if models/base lacks weights
    of the encoder itself.
    """
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    config = AutoConfig.from_pretrained(
        BASE, local_files_only=True, id2label=dict(enumerate(labels)), label2id={v: k for k, v in enumerate(labels)}
    )
    if dropout is not None:
        for name, value in config.to_dict().items():
            if "dropout" in name and isinstance(value, float):
                setattr(config, name, dropout)
    model, loading = AutoModelForSequenceClassification.from_pretrained(
        BASE,
        config=config,
        local_files_only=True,
        dtype=torch.float32,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # the head of a checkpoint that was fine-tuned for another number of labels
    )
    fresh = loading["missing_keys"] | {key for key, *_ in loading["mismatched_keys"]}
    encoder = f"{model.base_model_prefix}."
    head = {key.removeprefix(encoder).split(".")[0] for key in fresh}
    if lacking := sorted(key for key in fresh if key.startswith(encoder) and not key.startswith(f"{encoder}pooler.")):
        raise InputError(
            f"{BASE}: the checkpoint lacks {len(lacking)} weights of the encoder, {lacking[0]} for one: "
            f"it is no {config.model_type} as transformers has it; choose another model"
        )
    return model, sorted(head) or ["classifier"]


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


def with_method(model, head: list[str], method: Method, defaults: dict[str, Any], steps: int):
    """The model with what the method trains set to require gradients, and the rest frozen.

    defaults: peft settings under the method's own, where its config class knows them. The head, whose weights are
    fresh, always trains in full: its layers are taken out of target_modules, and if no others stand there, it is
    all that trains.
    """
    import torch
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING, AdaLoraConfig, PeftType, get_peft_config, get_peft_model

    if method.peft == "full":
        return model
    settings = method.peft
    if settings != "head":
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
        try:
            known = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(settings.get("peft_type"))].__dataclass_fields__
            settings = {name: value for name, value in defaults.items() if name in known} | settings
            if "modules_to_save" in known:  # the head's fresh weights always, beside the method's own
                own = settings.get("modules_to_save") or []
                if not isinstance(own, list):
                    raise ValueError(f"modules_to_save: a list is needed, not {own!r}")
                check_layers(model, "modules_to_save", own)
                settings["modules_to_save"] = sorted({*head, *own})
            if isinstance(targets := settings.get("target_modules"), list):
                check_layers(model, "target_modules", targets)
                settings["target_modules"] = [name for name in targets if name not in head]
            if settings.get("target_modules") != []:
                config = get_peft_config({**settings, "task_type": "SEQ_CLS"})
                if isinstance(config, AdaLoraConfig) and config.target_r >= config.init_r:
                    raise ValueError(f"target_r: {config.target_r} is not below init_r, {config.init_r}; lower it")
                virtual = getattr(config, "num_virtual_tokens", None)
                limit = getattr(model.config, "max_position_embeddings", None)
                if virtual and limit and virtual >= limit:
                    raise ValueError(f"num_virtual_tokens: {virtual} is above the model's limit of {limit}; lower it")
                model = get_peft_model(model, config)
                with torch.no_grad():  # an encoder that cannot take a prefix says so only here
                    model(input_ids=torch.zeros((1, 2), dtype=torch.long))
                return model
        except PEFT_ERRORS as error:
            problem = (str(error) or repr(error)).splitlines()[0]
            raise InputError(f"params.yaml: the peft settings of the method: {problem}") from error
    for name, parameter in model.named_parameters():
        parameter.requires_grad = any(part in head for part in name.split("."))
    return model


def orthogonality(model):
    """AdaLoRA's penalty on its singular vectors (Zhang et al. 2023, eq. 4), a scalar; None for other methods.

    peft adds it to a loss only if the model computes that loss itself.
    """
    import torch
    from peft import AdaLoraModel

    if not isinstance(model.base_model, AdaLoraModel):
        return None
    gaps = []
    for name, parameter in model.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            matrix = parameter if "lora_A" in name else parameter.T
            gaps.append(torch.linalg.matrix_norm(matrix @ matrix.T - torch.eye(len(matrix), device=matrix.device)))
    return model.active_peft_config.orth_reg_weight * torch.stack(gaps).mean()


def make_optimizer(model, learning_rate: float, weight_decay: float, loraplus_lr_ratio: float | None):
    """AdamW; weight decay on matrices only, not on vectors (biases, norms, IA3's factors, which peft shapes (1, n)).

    LoRA+ (Hayou et al. 2024) if a ratio is given: B, and as in the authors' code all vectors, at that many times
    the rate.
    """
    import torch

    if loraplus_lr_ratio:
        from peft.optimizers import create_loraplus_optimizer

        return create_loraplus_optimizer(
            model,
            torch.optim.AdamW,
            lr=learning_rate,
            loraplus_lr_ratio=loraplus_lr_ratio,
            loraplus_weight_decay=weight_decay,
        )
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if max(p.shape) < p.numel()], "weight_decay": weight_decay},
        {"params": [p for p in trained if max(p.shape) == p.numel()], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate)
