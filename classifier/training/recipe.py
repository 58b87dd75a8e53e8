"""The settings of a training."""

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from classifier.params.labels import label_value
from classifier.params.settings import Settings
from classifier.params.values import check_compared_by_dvc

Count = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


def balanced_or_by_label(setting: Any) -> Any:
    """Return the setting `class_weights`: "balanced", None, or a mapping from label names to weights above 0."""
    if setting in (None, "balanced"):
        return setting
    is_mapping = isinstance(setting, dict) and all(
        isinstance(name, str | int) and type(weight) in (int, float) and 0 < weight < math.inf
        for name, weight in setting.items()
    )
    if not is_mapping:
        raise ValueError("balanced, null, or LABEL: WEIGHT lines with weights above 0 are needed")
    weights = {}
    for name, weight in setting.items():
        if (label := check_compared_by_dvc(label_value(name))) in weights:
            raise ValueError(f"the label {label} has two weights; take out one")
        weights[label] = weight
    return weights


class Recipe(Settings):
    """The section `train` of params.yaml. The comments there explain each setting."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    epochs: Count | None
    enough_steps: Count
    min_texts_for_modules: Annotated[int, Field(ge=0)]
    short_epoch: Annotated[int, Field(ge=8)] | None
    batch_size: Count
    micro_batch_size: Count
    learning_rate: Annotated[float, Field(gt=0)] | None
    warmup: Share
    class_weights: Annotated[Literal["balanced"] | dict[str, float] | None, BeforeValidator(balanced_or_by_label)]
    schedule: Literal["linear", "cosine", "constant_with_warmup"]
    weight_decay: Annotated[float, Field(ge=0)]
    max_grad_norm: Annotated[float, Field(gt=0)]
    dropout: Share | None
    validations: Count
    validation_rows: Count
    keep: Literal["last", "best"]
    patience: Count | None
    precision: Literal["auto", "fp32", "bf16"]
    deterministic: bool

    @property
    def selects_on_validation(self) -> bool:
        """Whether the validations during the training select the weights or the last step."""
        return self.keep == "best" or self.patience is not None
