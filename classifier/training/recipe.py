"""The settings of a training."""

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from classifier.params.catalogue import check_compared_by_dvc
from classifier.params.settings import Settings

Count = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


def balanced_or_by_label(given: Any) -> Any:
    by_label = isinstance(given, dict) and all(
        isinstance(name, str) and type(weight) in (int, float) and 0 < weight < math.inf
        for name, weight in given.items()
    )
    if not by_label and given not in (None, "balanced"):
        raise ValueError("balanced, null, or LABEL: WEIGHT lines with weights above 0 are needed")
    for name in given if by_label else ():
        check_compared_by_dvc(name)
    return given


class Recipe(Settings):
    """The section `train` of params.yaml, where each setting is explained."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    epochs: Count | None
    min_steps: Count
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
