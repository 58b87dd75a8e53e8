"""Replace modules of a model by faster ones that compute the same function of the same weights."""

import torch

from classifier.model.fast.attention import MATMUL_ATTENTION, use_matmul_attention
from classifier.model.fast.embeddings import rounding_classes
from classifier.model.fast.first_token import first_token_classes
from classifier.model.fast.linear import linear_classes
from classifier.model.fast.lora import lora_classes
from classifier.model.fast.mpnet import mpnet_classes


def use_fast_modules(model: torch.nn.Module, bf16_on_cpu: bool = False) -> dict[str, str]:
    """Replace the parts of a model that have a faster form, in place, and return what was replaced.

    Call the function on the model that transformers has loaded, before peft wraps the model, and again on the model
    that peft returns. The two calls replace different parts: the encoder's are recognized by the class of the
    unwrapped model, and LoRA's layers exist only in the wrapped one. A part that has been replaced is left alone.

    | part                          | replaced in                                        | file           |
    | ----------------------------- | -------------------------------------------------- | -------------- |
    | last encoder layer            | BERT, DistilBERT, MPNet and RoBERTa classifiers    | first_token.py |
    | attention                     | MPNet classifiers                                  | mpnet.py       |
    | LoRA's linear layers          | models that peft has wrapped                       | lora.py        |
    | linear layers                 | all models, if torch has oneDNN, on x86            | linear.py      |
    | attention of the other layers | models with torch's attention, if bf16_on_cpu      | attention.py   |
    | embeddings                    | BERT, DistilBERT, MPNet and RoBERTa if bf16_on_cpu | embeddings.py  |

    Other models stay as they are. The files say for which inputs their modules fall back to transformers or peft.

    Args:
        model: A sequence classifier of transformers, or one that peft has wrapped.
        bf16_on_cpu: Whether the model will train on a CPU under autocast to bf16.

    Returns:
        The name of each replaced module and the name of its new class, such as
        {"bert.encoder.layer.5.attention": "FirstTokenBertAttention"}. The key "config._attn_implementation" stands for
        the attention of the other layers.
    """
    classes = first_token_classes(model) | mpnet_classes(model) | lora_classes(model) | linear_classes(model)
    if bf16_on_cpu:
        classes |= rounding_classes(model)
    replaced = replace_classes(model, classes)
    if bf16_on_cpu and use_matmul_attention(model):
        replaced["config._attn_implementation"] = MATMUL_ATTENTION
    return replaced


def replace_classes(model: torch.nn.Module, fast_classes: dict[torch.nn.Module, type]) -> dict[str, str]:
    """Give modules of the model a new class. A class with the same attributes needs no copy of the weights.

    Returns:
        The name of each module and the name of its new class.
    """
    for module, fast_class in fast_classes.items():
        module.__class__ = fast_class
    return {name: type(module).__name__ for name, module in model.named_modules() if module in fast_classes}
