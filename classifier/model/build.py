"""The classifier built of models/base and a fresh head, ready for a method."""

import bisect

from classifier.errors import InputError, out_of_memory
from classifier.files.places import BASE


def classifier(labels: list[str], dropout: float | None):
    """(model, names of the head's modules): models/base under a classification head with fresh weights.

    dropout: of the pretrained network; None keeps the checkpoint's own. Raises InputError if models/base lacks weights
    of the encoder itself.
    """
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    from classifier.model.fast.first_token import first_token_only
    from classifier.model.fast.mpnet import fused_attention

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


def check_length(network, longest: int) -> None:
    """Raises InputError if the network, which is on the CPU, cannot read a text of so many tokens: it is given one.

    What a config states of the positions does not tell: some encoders keep two of them free, a learned prompt takes its
    own, and others state nothing.
    """

    def failure(length: int) -> Exception | None:
        import torch

        ids = torch.full((1, length), 1 if network.config.pad_token_id != 1 else 0)
        try:
            with torch.inference_mode():
                network.eval()(input_ids=ids, attention_mask=torch.ones_like(ids))
        except (AssertionError, IndexError, RuntimeError, ValueError) as error:  # each encoder has its own
            if out_of_memory(error):
                raise
            return error
        return None

    if (error := failure(longest)) is None:
        return
    most = bisect.bisect_left(range(longest), True, key=lambda length: failure(length + 1) is not None)
    virtual = getattr(getattr(network, "active_peft_config", None), "num_virtual_tokens", 0)
    beside = f" beside the method's {virtual} virtual tokens" if virtual else ""
    told = (str(error) or repr(error)).splitlines()[0]
    if not most:
        raise InputError(f"{BASE}: the model cannot read a text: {told}; choose another model") from error
    raise InputError(
        f"params.yaml: tokenize.max_length: the model cannot read {longest} tokens{beside}; lower it to {most} ({told})"
    ) from error
