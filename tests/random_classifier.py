"""A random classifier of each task, calibrated on random labels, in models/ of the current folder."""

import numpy as np
from encoders import peft_defaults, write_encoder
from tiny import reviews

from classifier.tasks.task import TASKS
from classifier.text.pairs import Text

TEXTS = [text for text, _ in reviews(60, seed=3)]
DRAW = np.random.default_rng(0)
LABELS = {
    "single-label": (["bad", "good"], DRAW.integers(2, size=60)),
    "multi-label": (["film", "plot", "fun"], DRAW.integers(2, size=(60, 3)).astype(np.uint8)),
    "regression": (["price"], DRAW.normal(50, 20, 60)),
    "ordinal": (["1", "2", "3"], DRAW.integers(3, size=60)),
}


def save_random_classifier(name: str, texts: list[Text] = TEXTS, **settings) -> None:
    """Write models/base and models/adapter for a task.

    Args:
        name: The name of the task.
        texts: The texts, or pairs of texts, on which the classifier is calibrated, each with its label of LABELS.
        settings: Further settings of models/adapter/config.json.
    """
    import torch
    from transformers import AutoTokenizer

    from classifier.model.adapters import apply_method
    from classifier.model.build import build_classifier
    from classifier.model.forward import logits
    from classifier.model.loading import silence_libraries
    from classifier.model.saving import save_classifier
    from classifier.params.catalogue import Method
    from classifier.text.encoding import encode
    from classifier.training.calibration import calibrate

    silence_libraries()
    write_encoder("bert", layers=1)
    names, labels = LABELS[name]
    model, head = build_classifier(names, dropout=0.0, problem_type=TASKS[name].PROBLEM_TYPE)
    model = apply_method(model, head, Method(peft={"peft_type": "LORA", "r": 4}), peft_defaults("bert"), 10).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:  # a new adapter is zero
                parameter.normal_(std=0.3)
    tokenize = {"max_length": 60, "truncation": "head", "windows": 1, "strip_markup": False}
    windows = encode(texts, AutoTokenizer.from_pretrained("models/base"), **tokenize)
    raw = logits(model, [np.array(ids) for (ids,) in windows])
    temperature, bias = calibrate(model, raw, labels, TASKS[name])
    settings |= {
        **{"task": name, "columns": ["text"], "separator": "\n", "tokenize": tokenize},
        **{"calibration_temperature": np.asarray(temperature).tolist(), "calibration_bias": bias.tolist()},
        "decision": TASKS[name].decide(raw / temperature + bias, labels),
        "trained": {"dataset": "mine", "model": "tiny", "method": "lora", "texts": 60, "parameters": 9}
        | {"trainable_parameters": 3},
    }
    save_classifier(model, settings)
