"""The classifier to train: encoder and head, what of it is trained, and the optimizer.

Everything here is decided by params.yaml; the training loop is in stages.train.
"""

from typing import Any

from stages.catalogue import Method
from stages.files import BASE
from stages.params import InputError


def classifier(labels: list[str], dropout: float | None):
    """(model, names of the head's modules): models/base under a classification head with fresh weights.

    dropout: of the pretrained network; None keeps the checkpoint's own.
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
        BASE, config=config, local_files_only=True, dtype=torch.float32, output_loading_info=True
    )
    fresh = {key.split(".")[0] for key in loading["missing_keys"]}
    return model, sorted(fresh - {model.base_model_prefix}) or ["classifier"]


def with_method(model, head: list[str], method: Method, defaults: dict[str, Any], steps: int):
    """The model with what the method trains set to require gradients, and the rest frozen.

    defaults: peft settings under the method's own, where its config class knows them. The head always trains.
    """
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PeftType, get_peft_config, get_peft_model

    if method.peft == "full":
        return model
    if method.peft == "head":
        for name, parameter in model.named_parameters():
            parameter.requires_grad = name.split(".")[0] in head
        return model
    try:
        known = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(method.peft.get("peft_type"))].__dataclass_fields__
        defaults = {"modules_to_save": head, "total_step": steps, **defaults}
        settings = {name: value for name, value in defaults.items() if name in known} | method.peft
        return get_peft_model(model, get_peft_config({**settings, "task_type": "SEQ_CLS"}))
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"params.yaml: the peft settings of the method: {str(error).splitlines()[0]}") from error


def make_optimizer(model, learning_rate: float, weight_decay: float, loraplus_lr_ratio: float | None):
    """AdamW; weight decay on matrices only, not on biases and norms. LoRA+ (Hayou et al. 2024) if a ratio is given."""
    import torch

    if loraplus_lr_ratio:
        from peft.optimizers import create_loraplus_optimizer

        return create_loraplus_optimizer(
            model, torch.optim.AdamW, lr=learning_rate, loraplus_lr_ratio=loraplus_lr_ratio, weight_decay=weight_decay
        )
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate)
