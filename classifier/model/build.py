"""Build the classifier that a training starts from: the encoder of models/base under a classification head."""

from classifier.errors import InputError
from classifier.files.places import BASE
from classifier.model.integrity import check_folder_intact
from classifier.text.encoding import padding_id


def build_classifier(
    labels: list[str],
    dropout: float | None,
    bf16_on_cpu: bool = False,
    problem_type: str = "single_label_classification",
):
    """Return the encoder of models/base under a classification head, and the names of the head's modules.

    The head's last layer has fresh weights (see also `replace_fitting_head`). The head's other layers have the
    checkpoint's weights if these fit, and fresh weights otherwise.

    Args:
        labels: Label names, in the order of the labels' numbers.
        dropout: Dropout probability of the encoder and the head. None keeps the checkpoint's probabilities.
        bf16_on_cpu: Whether the classifier will train on a CPU under autocast to bf16.
        problem_type: What the head's outputs are: `PROBLEM_TYPE` of the task.

    Returns:
        (model, head): a sequence classifier of transformers in fp32, with fast modules (see fast/modules.py), and the
        sorted names of its modules that form the head, such as ["classifier", "pre_classifier"].

    Raises:
        InputError: models/base has no weights or a damaged file, the checkpoint lacks weights of the encoder, or the
            head does not end in a linear layer.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    from classifier.model.fast.modules import use_fast_modules

    check_folder_intact(BASE)
    config = classifier_config(labels, dropout, problem_type)
    model, loading = AutoModelForSequenceClassification.from_pretrained(
        BASE,
        config=config,
        local_files_only=True,
        use_safetensors=True,
        dtype=torch.float32,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # the head of a checkpoint that was fine-tuned for another number of labels
    )
    missing = loading["missing_keys"] - read_tied_weights(model, loading["missing_keys"])
    fresh = missing | {key for key, *_ in loading["mismatched_keys"]}
    check_checkpoint(model, fresh)
    replace_fitting_head(model, fresh)
    use_fast_modules(model, bf16_on_cpu)
    return model, head_modules(model, fresh)


def replace_fitting_head(model, fresh: set[str]) -> None:
    """Replace a head that the checkpoint has for as many labels of another task by a fresh one.

    The module that is replaced is the last one with parameters: in RoBERTa the whole head.

    Args:
        model: The sequence classifier.
        fresh: The names of its weights that the checkpoint lacks or that do not fit.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    last = [name for name, module in model.named_children() if any(True for _ in module.parameters())][-1]
    if not any(key.startswith(f"{last}.") for key in fresh):
        fresh_model = AutoModelForSequenceClassification.from_config(model.config, dtype=torch.float32)
        setattr(model, last, getattr(fresh_model, last))


def classifier_config(labels: list[str], dropout: float | None, problem_type: str):
    """Return the config of models/base for a classifier. Arguments: as in `build_classifier`.

    A decoder reads the last token of a text that is not padding, so the config must name the padding token. The
    config.json of most decoders names none. The config then gets the id that `padding_id` returns.
    """
    from transformers import AutoConfig, AutoTokenizer
    from transformers.modeling_layers import GenericForSequenceClassification
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

    config = AutoConfig.from_pretrained(
        BASE,
        local_files_only=True,
        id2label=dict(enumerate(labels)),
        label2id={name: number for number, name in enumerate(labels)},
        problem_type=problem_type,  # for transformers' pipeline(); the checkpoint may have another
    )
    if dropout is not None:
        for name, value in config.to_dict().items():
            if "dropout" in name and type(value) in (int, float):
                setattr(config, name, dropout)
    if getattr(config, "pad_token_id", None) in (None, -1):
        config.pad_token_id = padding_id(config, AutoTokenizer.from_pretrained(BASE, local_files_only=True))
    if issubclass(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)], GenericForSequenceClassification):
        config.use_cache = False  # keep no keys and values: only a decoder that generates text reads them again
    return config


def read_tied_weights(model, missing: set[str]) -> set[str]:
    """Read those missing weights that the checkpoint has as the output layer of a language model; return their names.

    A language model's output layer often shares the weights of the input embeddings. A safetensors file stores shared
    weights once, under one of the two names. The Hub's conversions of pickled weights may use the output layer's name.

    Args:
        model: The classifier, loaded from models/base.
        missing: The names of the weights that transformers did not find there.
    """
    import torch
    from safetensors import safe_open
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

    mappings, kind, read = (MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING), type(model.config), set()
    tied = [getattr(mapping[kind], "_tied_weights_keys", None) or {} for mapping in mappings if kind in mapping]
    shared = {output: name for pairs in tied for output, name in pairs.items() if name in missing}
    for path in BASE.glob("model*.safetensors") if shared else ():
        with safe_open(path, framework="pt") as file, torch.no_grad():
            for output in shared.keys() & set(file.keys()):
                model.get_parameter(shared[output]).copy_(file.get_tensor(output))
                read.add(shared[output])
    return read


def check_checkpoint(model, fresh: set[str]) -> None:
    """Check that the encoder has its pretrained weights, and that the calibration can be put into the last layer.

    A pooler may have fresh weights, like the head.

    Args:
        model: The classifier, loaded from the checkpoint.
        fresh: The names of the weights that the checkpoint lacked or had in another shape.

    Raises:
        InputError: The checkpoint lacks weights of the encoder, or the logits do not come from a linear layer.
    """
    encoder, kind = f"{model.base_model_prefix}.", model.config.model_type
    lacking = sorted(key for key in fresh if key.startswith(encoder) and not key.startswith(f"{encoder}pooler."))
    if lacking:
        raise InputError(
            f"{BASE}: the checkpoint lacks {len(lacking)} weights of the encoder that {kind} has in transformers, "
            f"{lacking[0]} for example; choose another model"
        )
    if last_layer(model) is None:
        problem = "does not end in a linear layer, into which the calibration goes"
        raise InputError(f"{BASE}: the head of {kind} {problem}; choose another model")


def last_layer(model):
    """Return the linear layer that the logits come from; None if they come from a layer of another kind.

    model: a sequence classifier, wrapped by peft or not. The layers of a learned prompt are not searched, because
    one of them may have as many outputs as there are labels.
    """
    import torch

    network = model.get_base_model() if hasattr(model, "get_base_model") else model
    linear = [module for module in network.modules() if isinstance(module, torch.nn.Linear)]
    return next((module for module in reversed(linear) if module.out_features == model.config.num_labels), None)


def head_modules(model, fresh: set[str]) -> list[str]:
    """Return the sorted names of the modules of the head: the modules outside of the encoder, or with fresh weights.

    A module outside of the encoder counts even if the checkpoint, fine-tuned for other labels, has its weights: all of
    the head trains.

    fresh: as in `check_checkpoint`.
    """
    encoder = f"{model.base_model_prefix}."
    head = {key.removeprefix(encoder).split(".")[0] for key in fresh}
    head |= {name.split(".")[0] for name, _ in model.named_parameters() if not name.startswith(encoder)}
    return sorted(head)
