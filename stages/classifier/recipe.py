"""The settings of a training."""

from typing import Annotated, Literal

from pydantic import Field

from stages.settings.catalogue import Entry

Count = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


class Recipe(Entry):
    """The section `train` of params.yaml, where each setting is explained."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    epochs: Count | None
    short_epoch: Annotated[int, Field(ge=8)] | None
    batch_size: Count
    micro_batch_size: Count
    learning_rate: Annotated[float, Field(gt=0)] | None
    warmup: Share
    schedule: Literal["linear", "cosine", "constant_with_warmup"]
    weight_decay: Annotated[float, Field(ge=0)]
    max_grad_norm: Annotated[float, Field(gt=0)]
    dropout: Share | None
    validations: Count
    validation_rows: Count
    precision: Literal["auto", "fp32", "bf16"]
    deterministic: bool
