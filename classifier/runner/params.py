"""params.yaml, read and checked before a stage starts.

A stage is a function of keyword arguments. Each is annotated with its place in the file (see Param), and the section
that bears the stage's name with a pydantic model. So there is no second list of settings to keep in step.

The whole file is checked, not a stage's section alone: a mistake in `evaluate` is found before an hour of training, not
after.
"""

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from pydantic import AfterValidator, BaseModel, ValidationError, create_model

from classifier.errors import InputError
from classifier.params.catalogue import Dataset, Method, Model
from classifier.params.settings import Param, Settings

PARAMS = Path("params.yaml")
STAGES = ("data", "base_model", "tokenize", "baseline", "train", "evaluate", "infer", "report")


def stage_function(name: str) -> Callable:
    return getattr(importlib.import_module(f"stages.{name}"), name)


def places(stage: Callable) -> dict[str, str]:
    """Return the place in params.yaml of each argument of a stage."""
    hints = get_type_hints(stage, include_extras=True)
    return {
        name: next(mark.path for mark in hints[name].__metadata__ if isinstance(mark, Param))
        for name in inspect.signature(stage).parameters
    }


def section_model(stage: Callable) -> type[Settings] | None:
    """Return the type of the section that bears the stage's name; None if the stage has no settings of its own."""
    name = next((name for name, path in places(stage).items() if path == stage.__name__), None)
    return name and get_type_hints(stage)[name]


def without_dots(name: str) -> str:
    if "." in name:
        raise ValueError("a name without dots is needed, which DVC takes for levels")
    return name


@cache
def schema() -> type[BaseModel]:
    """The type of params.yaml: the three selections, the three catalogues, and a section per stage."""
    name = Annotated[str, AfterValidator(without_dots)]
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
    """Read and check params.yaml.

    Raises InputError that names the file, the key and the fix.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        values = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        halved = next((text for text in strings(values) if text.encode(errors="ignore").decode() != text), None)
    except FileNotFoundError:
        raise InputError(f"{path}: not found; run this from the folder that holds dvc.yaml") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{path}: line {line}: not valid YAML: {error.problem}; fix it") from None
    except (YAMLError, ValueError, TypeError, RecursionError) as error:  # a control character, a date with month 13
        raise InputError(f"{path}: not valid YAML: {error}; fix it") from None
    if halved is not None:  # by \ud83d\ude00, as JSON has it
        raise InputError(f"{path}: {halved!a:.60}: half of a character; write the character itself")
    try:
        params = schema().model_validate(values)
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error)}") from None
    for key in ("dataset", "model", "method"):
        select(params, key)
    rows = select(params, "dataset").train
    if rows and 1 <= rows < params.train.batch_size:
        raise InputError(
            f"{path}: train.batch_size: {params.train.batch_size} is above the {rows} texts of "
            f"datasets.{params.dataset}.train; lower it"
        )
    weights, labels = params.train.class_weights, select(params, "dataset").labels
    if isinstance(weights, dict) and (unknown := [name for name in weights if name not in labels]):
        raise InputError(
            f"{path}: train.class_weights: the data set has no label {unknown[0]!r}; its labels are {', '.join(labels)}"
        )
    return params


def strings(node: Any) -> Iterator[str]:
    """All strings in the values of a YAML file, keys among them."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        yield from strings([*node, *node.values()])
    elif isinstance(node, list):
        for each in node:
            yield from strings(each)


def explain(error: ValidationError) -> str:
    """The first error in one line: the key's full name, what is wrong, and the nearest known key."""
    first, others = error.errors()[0], error.error_count() - 1
    key = ".".join(str(part) for part in first["loc"]) or "the whole file"
    got = "" if isinstance(first["input"], dict | list) else f", got {first['input']!r:.60}"
    message = {
        "extra_forbidden": "unknown key",
        "missing": "missing key; add it",
        "model_type": "its settings are missing; write them as `name: value` lines",
    }.get(first["type"], f"{first['msg'][0].lower()}{first['msg'][1:]}{got}")
    if first["type"] == "extra_forbidden":
        document = schema().model_json_schema()
        known = {key for part in (document, *document["$defs"].values()) for key in part.get("properties", {})}
        near = difflib.get_close_matches(str(first["loc"][-1]), sorted(known), n=1)
        message += f"; did you mean {near[0]}?" if near else "; remove it"
    return f"{key}: {message}" + (f" ({others} more)" if others else "")


def select(params: BaseModel, key: str) -> Any:
    """The catalogue entry that `key` (dataset, model or method) names."""
    name, catalogue = getattr(params, key), getattr(params, key + "s")
    if name not in catalogue:
        near = difflib.get_close_matches(name, catalogue, n=1) or sorted(catalogue)
        raise InputError(f"{PARAMS}: {key}: no entry {name!r} under {key}s; did you mean {' or '.join(near)}?")
    catalogue[name]._name = name
    return catalogue[name]


def arguments(stage: Callable, params: BaseModel) -> dict[str, Any]:
    """Return the keyword arguments of a stage, from checked params."""
    return {name: value_at(path, params) for name, path in places(stage).items()}


def value_at(path: str, params: BaseModel) -> Any:
    """Return what stands at a place of params.yaml, which is spelled as a Param's path."""
    value = params
    for key in path.split("."):
        value = select(params, key[2:-1]) if key.startswith("${") else getattr(value, key)
    return value
