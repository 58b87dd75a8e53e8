"""How params.yaml's sections and a stage's arguments are declared."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base class of a section of params.yaml. It refuses unknown keys, values of another type, NaN and infinity."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Param:
    """The place of a stage's argument in params.yaml, spelled as under the stage's `params:` in dvc.yaml.

    A stage annotates each of its arguments with a Param. `${model}` stands for the entry that the key `model` selects:

        def train(*, recipe: Annotated[Recipe, Param("train")], model: Annotated[Model, Param("models.${model}")]):
    """

    path: str
