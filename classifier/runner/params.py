"""Read and check params.yaml before a stage starts.

A stage is a function of keyword arguments. Each argument is annotated with its type and with its place in params.yaml
(see `Param`). The type of the argument for the section with the stage's name is a pydantic model. So the keys of this
section are declared once, in this model.

Every stage checks the whole file, not only its section: a mistake in the section `evaluate` is found before an hour of
training and not after it.
"""

import difflib
import importlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel, ValidationError, create_model

from classifier.errors import InputError
from classifier.params.catalogue import Method, Model
from classifier.params.datasets import Dataset
from classifier.params.labels import LABEL_KEYS
from classifier.params.settings import Settings
from classifier.params.values import must_match
from classifier.runner.yaml import parse_yaml
from classifier.text.cleaning import is_encodable

PARAMS = Path("params.yaml")
STAGES = ("data", "base_model", "tokenize", "baseline", "train", "evaluate", "infer", "export", "report")


def stage_function(name: str) -> Callable:
    """Return the function of a stage."""
    return getattr(importlib.import_module(f"stages.{name}"), name)


def argument_paths(stage: Callable) -> dict[str, str]:
    """Return the place in params.yaml of each argument of a stage: the path of its Param, the last annotation."""
    hints = get_type_hints(stage, include_extras=True)
    return {name: hint.__metadata__[-1].path for name, hint in hints.items() if name != "return"}


def section_model(stage: Callable) -> type[Settings] | None:
    """Return the type of the section that has the stage's name; None if the stage has no such section."""
    name = next((name for name, path in argument_paths(stage).items() if path == stage.__name__), None)
    return name and get_type_hints(stage)[name]


@cache
def schema() -> type[BaseModel]:
    """Return the type of params.yaml: three selections, three catalogues, and the sections of the stages."""
    name = Annotated[str, must_match(r"[^.]*", "a name without dots, which DVC reads as nested keys")]
    sections = {stage: model for stage in STAGES if (model := section_model(stage_function(stage)))}
    return create_model(
        "Params",
        __base__=Settings,
        dataset=str,
        model=str,
        method=str,
        datasets=dict[name, Dataset],
        models=dict[name, Model],
        methods=dict[name, Method],
        **sections,
    )


def load_params(path: Path = PARAMS) -> BaseModel:
    """Return the checked content of params.yaml. Raises InputError with the file, the key or line, and the fix."""
    values = read_yaml(path)
    try:
        params = schema().model_validate(values)
    except ValidationError as error:
        raise InputError(f"{path}: {describe_error(error)}") from None
    for key in ("dataset", "model", "method"):
        select(params, key, path)
    check_against_dataset(params, path)
    return params


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file. Raises InputError if it is not YAML, or has text that UTF-8 cannot encode."""
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        values = parse_yaml(path.read_text(encoding="utf-8"))
        unencodable = next((text for text in strings(values) if not is_encodable(text)), None)
    except FileNotFoundError:
        raise InputError(f"{path}: not found; run this from the folder that holds dvc.yaml") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{path}: line {line}: not valid YAML: {error.problem}; correct the line") from None
    except (YAMLError, ValueError, TypeError, RecursionError) as error:  # a control character, a date with month 13
        raise InputError(f"{path}: not valid YAML: {error}; correct it") from None
    if unencodable is not None:  # written as \ud83d\ude00, as in JSON
        raise InputError(f"{path}: {unencodable!a:.60}: half of a character; write the character itself")
    return values


def strings(node: Any) -> Iterator[str]:
    """Yield all strings in the content of a YAML file, keys and values."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        yield from strings([*node, *node.values()])
    elif isinstance(node, list):
        for item in node:
            yield from strings(item)


def describe_error(error: ValidationError) -> str:
    """Return the first error in one line: the key's full name, what is wrong, and the nearest known key."""
    first, more = error.errors()[0], error.error_count() - 1
    key = ".".join(str(part) for part in first["loc"]) or "the whole file"
    value = "" if isinstance(first["input"], dict | list) else f", got {first['input']!r:.60}"
    message = {
        "extra_forbidden": "unknown key",
        "missing": "missing key; add it",
        "model_type": "its settings are missing; write them as `name: value` lines",
    }.get(first["type"], f"{problem_of(error)}{value}")
    if first["type"] == "extra_forbidden":
        message += f"; {fix_of_unknown_key(str(first['loc'][-1]))}"
    return f"{key}: {message}" + (f" ({more} more)" if more else "")


def fix_of_unknown_key(key: str) -> str:
    """Return what to do about an unknown key: the section to which it belongs, or the nearest known key."""
    sections = schema().model_fields
    if homes := [name for name in sections if key in getattr(sections[name].annotation, "model_fields", ())]:
        return f"it belongs to {' or '.join(homes)}; move it there"
    document = schema().model_json_schema()
    known = {key for part in (document, *document["$defs"].values()) for key in part.get("properties", {})}
    near = difflib.get_close_matches(key, sorted(known - {key}), n=1)
    return f"did you mean {near[0]}?" if near else "remove it"


def problem_of(error: ValidationError) -> str:
    """Return what is wrong with the first value, without its key."""
    problem = error.errors()[0]["msg"].removeprefix("Value error, ")  # pydantic's prefix to the text of a ValueError
    return f"{problem[0].lower()}{problem[1:]}"


def select(params: BaseModel, key: str, path: Path = PARAMS) -> Any:
    """Return the catalogue entry that a selection names, with its name set.

    Args:
        params: the checked content of the file at `path`.
        key: dataset, model or method.
    """
    name, catalogue = getattr(params, key), getattr(params, key + "s")
    if name not in catalogue:
        near = difflib.get_close_matches(name, catalogue, n=1) or sorted(catalogue)
        raise InputError(f"{path}: {key}: no entry {name!r} under {key}s; did you mean {' or '.join(near)}?")
    catalogue[name]._name = name
    return catalogue[name]


def check_against_dataset(params: BaseModel, path: Path) -> None:
    """Raise InputError if the section `train` does not fit the selected data set's rows or labels."""
    dataset, batch_size, weights = select(params, "dataset"), params.train.batch_size, params.train.class_weights
    if dataset.train and 1 <= dataset.train < batch_size:
        texts = f"{dataset.train} texts of datasets.{params.dataset}.train"
        raise InputError(f"{path}: train.batch_size: {batch_size} is above the {texts}; lower it")
    if weights and not any(LABEL_KEYS[dataset.task]):
        raise InputError(f"{path}: train.class_weights: a {dataset.task} has no labels to weigh; set it to null")
    unknown = [name for name in weights if name not in dataset.label_names] if isinstance(weights, dict) else []
    if unknown:
        problem = f"the data set has no label {unknown[0]!r}; its labels are {', '.join(dataset.label_names)}"
        raise InputError(f"{path}: train.class_weights: {problem}")


def arguments(stage: Callable, params: BaseModel) -> dict[str, Any]:
    """Return the keyword arguments of a stage, from checked params."""
    return {name: value_at(path, params) for name, path in argument_paths(stage).items()}


def value_at(path: str, params: BaseModel) -> Any:
    """Return the value at a place of params.yaml, spelled like the path of a Param."""
    value = params
    for key in path.split("."):
        value = select(params, key[2:-1]) if key.startswith("${") else getattr(value, key)
    return value
