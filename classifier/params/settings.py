"""How the sections of params.yaml and the arguments of a stage are declared."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Settings under one key of params.yaml. Unknown keys, values of another type, and infinities are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Param:
    """The place in params.yaml of a stage's argument, spelled as dvc.yaml spells the dependency.

    A stage annotates each argument with one. `${model}` stands for the entry that the key `model` selects:

        def train(*, recipe: Annotated[Recipe, Param("train")], model: Annotated[Model, Param("models.${model}")]):
    """

    path: str
