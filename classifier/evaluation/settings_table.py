"""The table of the settings of a training."""

from typing import Any


def settings_table(model: str, method, adapter: dict | None, training: dict, train, loss: str) -> list[tuple[str, Any]]:
    """Return the settings of a training as rows (name, value).

    Args:
        model: The name of the pretrained encoder.
        method: The entry of the method in params.yaml.
        adapter: models/adapter/adapter_config.json; None if the method makes no adapter.
        training: metrics/training.json.
        train: The section `train` of params.yaml.
        loss: The loss in words.
    """
    epochs = f"{training['epochs']}"
    if training["short_epochs"]:
        epochs += f", after {training['short_epochs']} with {train.short_epoch} tokens of each text"
    steps, planned = training["steps"], training["planned_steps"]
    trained = f"{training['trainable_parameters']:,} of {training['parameters']:,} ({training['trainable_share']:.2%})"
    rate = f"{training['learning_rate']}, schedule {train.schedule}, warm-up over {train.warmup:.1%} of the steps"
    rows = [
        ("base model", model),
        ("method", f"{method.name} ({adapter['peft_type']})" if adapter else method.name),
        *adapter_settings(method, adapter or {}),
        ("trainable parameters", trained),
        ("loss", loss),
        ("optimizer", f"AdamW, weight decay {train.weight_decay}"),
        ("learning rate", rate),
        ("epochs", f"{epochs} ({steps}{f' of {planned} planned' if steps < planned else ''} steps in all)"),
        ("batch size", train.batch_size),
    ]
    if isinstance(train.class_weights, dict):
        named = [f"{label} {weight}" for label, weight in train.class_weights.items()]
        rows.append(("weights of the labels in the loss", ", ".join([*named, "1 for others"])))
    elif train.class_weights:
        rows.append(("weights of the labels in the loss", train.class_weights))
    if train.keep == "best":
        rows.append(("weights kept", f"of step {training['kept_step']}, whose validation loss was lowest"))
    return [*rows, ("seed", train.seed)]


def adapter_settings(method, adapter: dict) -> list[tuple[str, str]]:
    """Return the settings of an adapter as rows (name, value).

    The rows are the peft settings of the method's entry in params.yaml, and the layers and modules that the adapter
    uses, which the model's entry sets by default.
    """
    if not adapter:
        return []
    # peft appends "classifier" and "score", its two names of a head, of which a network has one.
    names = adapter.get("modules_to_save") or []
    modules = list(dict.fromkeys("the head" if name in ("classifier", "score") else name for name in names))
    settings = method.peft | {
        "target_modules": adapter.get("target_modules"),
        "layers_to_transform": adapter.get("layers_to_transform"),
        "modules_to_save": modules or None,
        "loraplus_lr_ratio": method.loraplus_lr_ratio,
    }
    return [
        (name, ", ".join(map(str, value)) if isinstance(value, list) else str(value))
        for name, value in settings.items()
        if name != "peft_type" and value is not None
    ]
