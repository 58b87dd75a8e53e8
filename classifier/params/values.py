"""Types of values that several keys of the catalogues in params.yaml share, and the base class of their entries."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr

from classifier.params.settings import Settings


def must_match(pattern: str, description: str) -> AfterValidator:
    """Return a validator that refuses strings that do not match the pattern as a whole.

    The error message shows the description and not the pattern.
    """

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"should be {description}")
        return text

    return AfterValidator(check)


Repository = Annotated[str, must_match(r"([\w.-]+/)?[\w.-]+", "OWNER/NAME of a repository on the Hub")]
Wheel = Annotated[str, must_match(r"[\w.-]+==\S+", "NAME==VERSION of an installed wheel")]
FileName = Annotated[str, must_match(r".*\S.*", "a file name")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Revision = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


def best_match(*types: type[Settings]) -> BeforeValidator:
    """Return a validator that parses a mapping as the type to which most of its keys belong.

    An error is then about one type. For a plain union pydantic would list the errors of all types.
    """

    def parse(source: Any) -> Any:
        if isinstance(source, types):
            return source
        if not isinstance(source, dict):
            raise ValueError("should be `name: value` lines")
        return max(types, key=lambda type_: len(type_.model_fields.keys() & source.keys())).model_validate(source)

    return BeforeValidator(parse)


def check_compared_by_dvc(key: str) -> str:
    """Return the key unchanged. Raises ValueError for a key whose changes DVC does not notice."""
    if key in ("size", "nfiles"):
        raise ValueError(f"should have another name than {key}, under which DVC ignores changes (its issue 10296)")
    return key


class Entry(Settings):
    """An entry of a catalogue."""

    _name: str = PrivateAttr("")

    @property
    def name(self) -> str:
        """The entry's key in the catalogue, which `select` in classifier/runner/params.py sets."""
        return self._name
