"""params.yaml, read and checked before a stage starts.

A stage is one function with keyword arguments. Their annotations are the schema of the section of
params.yaml that bears the stage's name, so there is no second list of settings to keep in step. A few
argument names are bound to other parts of the file instead (see BOUND): `dataset`, for example, is the entry
of `datasets:` that the key `dataset:` selects.

`run(stage)` checks all of params.yaml, not the stage's section alone: a mistake in `evaluate` is found
before an hour of training, not after.
"""

import difflib
import errno
import importlib
import inspect
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from stages.catalogue import Dataset, Method, Model
from stages.files import sha256

PARAMS = Path("params.yaml")
STAGES = ("data", "base_model", "tokenize", "baseline", "train", "evaluate", "infer", "report")
NETWORK_STAGES = ("data", "base_model")  # all others run with the Hub switched off

# What a stage's argument of this name is bound to, as dvc.yaml spells the same dependency.
BOUND = {
    "dataset": ["datasets.${dataset}"],
    "model": ["models.${model}"],
    "method": ["methods.${method}"],
    "source": ["models.${model}.source"],
    "settings": [
        "dataset",
        "model",
        "method",
        "datasets.${dataset}",
        "models.${model}",
        "methods.${method}",
        "tokenize",
        "train",
    ],
}


class InputError(Exception):
    """A user's mistake or a missing input. The message is one line: what, where, and how to mend it."""


def stage_function(name: str) -> Callable:
    return getattr(importlib.import_module(f"stages.{name}"), name)


def section_fields(stage: Callable) -> dict[str, Any]:
    """Argument name -> annotated type, for the arguments that come from the stage's own section."""
    hints = get_type_hints(stage, include_extras=True)
    return {name: hints[name] for name in inspect.signature(stage).parameters if name not in BOUND}


@cache
def schema() -> type[BaseModel]:
    """The type of params.yaml: the three selections, the three catalogues, and a section per stage."""
    strict = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    sections = {}
    for name in STAGES:
        if fields := section_fields(stage_function(name)):
            sections[name] = create_model(name, __config__=strict, **{k: (t, ...) for k, t in fields.items()})
    return create_model(
        "Params",
        __config__=strict,
        dataset=str,
        model=str,
        method=str,
        datasets=dict[str, Dataset],
        models=dict[str, Model],
        methods=dict[str, Method],
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
    except FileNotFoundError:
        raise InputError(f"{path}: not found; run this from the folder that holds dvc.yaml") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{path}: line {line}: not valid YAML: {error.problem}; mend it") from None
    except (YAMLError, ValueError, TypeError, RecursionError) as error:  # a control character, a date with month 13
        raise InputError(f"{path}: not valid YAML: {error}; mend it") from None
    try:
        params = schema().model_validate(values)
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error)}") from None
    for key in ("dataset", "model", "method"):
        select(params, key)
    rows = select(params, "dataset").train
    if rows and params.train.batch_size > rows:
        raise InputError(
            f"{path}: train.batch_size: {params.train.batch_size} is above the {rows} reviews of "
            f"datasets.{params.dataset}.train; lower it"
        )
    return params


def explain(error: ValidationError) -> str:
    """The first error in one line: the key's full name, what is wrong, and the nearest known key."""
    first, others = error.errors()[0], error.error_count() - 1
    key = ".".join(str(part) for part in first["loc"]) or "the whole file"
    message = {
        "extra_forbidden": "unknown key",
        "missing": "missing key; add it",
        "model_type": "its settings are missing; write them as `name: value` lines",
    }.get(first["type"], f"{first['msg'][0].lower()}{first['msg'][1:]}, got {first['input']!r:.60}")
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(first["loc"][-1]), sorted(set(known_keys(schema()))), n=1)
        message += f"; did you mean {near[0]}?" if near else "; remove it"
    return f"{key}: {message}" + (f" ({others} more)" if others else "")


def known_keys(model: type[BaseModel]) -> Iterator[str]:
    """All keys that may stand in params.yaml, at any depth, apart from the catalogues' entry names."""

    def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
        if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
            yield annotation
        for part in getattr(annotation, "__args__", ()):
            yield from models_in(part)

    for name, field in model.model_fields.items():
        yield name
        for nested in models_in(field.annotation):
            yield from known_keys(nested)


def select(params: BaseModel, key: str) -> Any:
    """The catalogue entry that `key` (dataset, model or method) names."""
    name, catalogue = getattr(params, key), getattr(params, key + "s")
    if name not in catalogue:
        near = difflib.get_close_matches(name, catalogue, n=1) or sorted(catalogue)
        raise InputError(f"{PARAMS}: {key}: no entry {name!r} under {key}s; did you mean {' or '.join(near)}?")
    return catalogue[name]


def arguments(stage: Callable, params: BaseModel) -> dict[str, Any]:
    """The keyword arguments of a stage, from checked params."""
    section = getattr(params, stage.__name__, None)
    values = {name: getattr(section, name) for name in section_fields(stage)}
    bound = {
        "dataset": lambda: select(params, "dataset"),
        "model": lambda: select(params, "model"),
        "method": lambda: select(params, "method"),
        "source": lambda: select(params, "model").source,
        "settings": lambda: params,
    }
    return values | {name: value() for name, value in bound.items() if name in inspect.signature(stage).parameters}


def message_of(error: BaseException) -> str | None:
    """What the user can do about an error, in one line; None for what is a defect of the code."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; `dvc repro` goes on from where this run was"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # the second is torch's
        return "out of memory; lower train.micro_batch_size or tokenize.max_length in params.yaml"
    told = re.search(r"\(os error (\d+)\)", str(error))  # safetensors raises an error of its own
    number = int(told[1]) if told else getattr(error, "errno", None)
    fix = {
        errno.ENOSPC: "make room",
        errno.EDQUOT: "make room",
        errno.EROFS: "make it writable",
        errno.EACCES: "make it readable and writable",
    }.get(number)
    return fix and f"{getattr(error, 'filename', None) or 'disk'}: {os.strerror(number)}; {fix}, then `dvc repro`"


def restore_outputs(stage: str) -> None:
    """Put back the outputs that DVC removes before it starts a stage, as dvc.lock records them.

    Without this, a refused parameter would leave the workspace without the last good result. What is in Git may be
    missing in DVC's cache (in a fresh clone, for example): then it comes from Git.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    lost = []
    with Repo() as repo:
        for out in repo.stage.load_one(name=stage).outs:
            in_git = not out.use_cache
            out.use_cache = True  # the run-cache holds a copy of metrics and plots too
            try:
                if out.hash_info:
                    out.checkout(force=True)
                else:  # the first run: what it has half written is no result
                    out.remove()
            except (DvcException, OSError):
                git = ["git", "checkout", "--quiet", "--", out.fs_path]
                if not in_git or subprocess.run(git, stderr=subprocess.DEVNULL).returncode:
                    lost.append(out.def_path)
    if lost:
        print(f"{stage}: not in the cache, so not put back: {', '.join(lost)}", file=sys.stderr)


def inputs(stage: Callable) -> tuple[dict[str, Any], dict[str, str]]:
    """(keyword arguments, digests of the code) of a stage, as they are now."""
    from ruamel.yaml import YAML

    deps = YAML(typ="safe", pure=True).load(Path("dvc.yaml"))["stages"][stage.__name__]["deps"]
    return arguments(stage, load_params()), {dep: sha256(Path(dep)) for dep in deps if dep.startswith("stages/")}


@contextmanager
def only_run(stage: str) -> Iterator[None]:
    """Hold a lock that ends with this process: a killed `dvc repro` leaves the stage that it started running."""
    from filelock import FileLock, Timeout

    lock = FileLock(Path(".dvc/tmp") / f"{stage}.lock", timeout=0)
    Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(
            f"an earlier run of this stage still goes on; wait for it or stop it (pgrep -f stages.{stage}), "
            "then `dvc repro`"
        ) from None
    with lock:
        yield


def run(stage: Callable) -> None:
    """Check params.yaml and run a stage. What the user can mend ends in one line, exit status 1 and the outputs of
    the last good run in place; with DEBUG=1 in the environment it ends in a traceback.
    """
    name = stage.__name__
    if name not in NETWORK_STAGES:
        os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # no warning when a later step forks
    try:
        with only_run(name):
            before = inputs(stage)
            stage(**before[0])
            # DVC records params and code as they are after the run, which might not be what the result was made with.
            if inputs(stage) != before:
                raise InputError("params.yaml or the code changed during the run, whose result is dropped; `dvc repro`")
    except BaseException as error:
        message = message_of(error)
        if message is None or os.environ.get("DEBUG"):
            raise
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not break off what follows
        print(f"{name}: {' '.join(message.split())}", file=sys.stderr, flush=True)
        if "DVC_STAGE" in os.environ:  # by hand, nothing was removed
            restore_outputs(name)
        sys.exit(130 if isinstance(error, KeyboardInterrupt) else 1)
