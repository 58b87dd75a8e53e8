"""The network of a training, built from the base model."""

from classifier.errors import InputError
from classifier.model.adapters import apply_method
from classifier.model.build import build_classifier, check_length
from classifier.params.catalogue import Method, Model
from classifier.training.batches import Plan


def build_network(plan: Plan, model: Model, method: Method, bf16: bool, device):
    """Return the network on the device, in training mode; the parameters that the method trains require gradients.

    Raises:
        InputError: The recipe, the model, the method and the length of the rows do not suit each other.
    """
    metadata, recipe = plan.tokens.metadata, plan.recipe
    network, head = build_classifier(metadata["labels"], recipe.dropout, bf16_on_cpu=bf16 and device.type == "cpu")
    network = apply_method(network, head, method, model.peft, plan.steps)
    if recipe.selects_on_validation and hasattr(network.base_model, "update_and_allocate"):
        setting = "keep: best" if recipe.keep == "best" else f"patience: {recipe.patience}"
        fix = "take keep: last and patience: null"
        raise InputError(f"params.yaml: train.{setting} is not for AdaLoRA, whose ranks change until its end; {fix}")
    check_length(network, metadata["tokenize"]["max_length"])
    return network.to(device).train()
