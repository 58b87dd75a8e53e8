"""The network of a training, built from the base model."""

from typing import Any

from classifier.errors import InputError
from classifier.files.places import BASE
from classifier.model.adapters import apply_method
from classifier.model.build import build_classifier, last_layer
from classifier.model.length import check_length
from classifier.params.catalogue import Method, Model
from classifier.tasks.task import TASKS
from classifier.training.batches import Plan


def build_network(plan: Plan, model: Model, method: Method, bf16: bool, device):
    """Return the network on the device, in training mode; the parameters that the method trains require gradients.

    Raises:
        InputError: A file of models/base is unusable, the task needs a bias that the head lacks, peft or the network
            cannot use a setting, the rows are too long for the network, or the validations would select the weights or
            the last step of AdaLoRA.
    """
    metadata, recipe = plan.tokens.metadata, plan.recipe
    task, on_cpu = TASKS[metadata["task"]], device.type == "cpu"
    network, head = build_classifier(metadata["labels"], recipe.dropout, bf16 and on_cpu, task.PROBLEM_TYPE)
    if task.NEEDS_BIAS and last_layer(network).bias is None:
        kind = network.config.model_type
        problem = f"the head of {kind} has no bias, which restores the scale of the labels of a {metadata['task']}"
        raise InputError(f"{BASE}: {problem}; choose another model")
    if metadata.get("pair"):
        network.config.token_types_after = metadata["token_types_after"]
    network = apply_method(network, head, method, model_settings(plan, model), plan.steps)
    if recipe.selects_on_validation and hasattr(network.base_model, "update_and_allocate"):
        setting = "keep: best" if recipe.keep == "best" else f"patience: {recipe.patience}"
        fix = "set keep: last and patience: null"
        raise InputError(f"params.yaml: train.{setting} does not suit AdaLoRA, whose ranks change until the end; {fix}")
    check_length(network, metadata["tokenize"]["max_length"])
    return network.to(device).train()


def model_settings(plan: Plan, model: Model) -> dict[str, Any]:
    """Return the model's peft settings; with few texts without `modules_to_save`, so that these modules stay frozen.

    Modules in `modules_to_save` train in full at the learning rate of the adapter, and overfit a few texts. If the
    method has a setting `modules_to_save`, it is used in any case.
    """
    if len(plan.tokens) >= plan.recipe.min_texts_for_modules:
        return model.peft
    return {name: value for name, value in model.peft.items() if name != "modules_to_save"}
