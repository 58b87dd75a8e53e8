"""The checkpoint file of a training, from which an interrupted run resumes.

A run writes one safetensors file into .checkpoints/. The folder is not an output of the stage, because DVC deletes
outputs before a run. The file is named by a key: a digest of everything that the weights depend on. A run therefore
never resumes from the checkpoint of a different run.

State        File                      Made by                              Removed by
absent       none
in progress  KEY.safetensors           `save`: stage train, every           `load` of a run with another key
                                       CHECKPOINT_MINUTES and after the
                                       last step
finished     KEY.finished.safetensors  `finish`: stage train, when its      `load` of a run with another key;
                                       outputs are written; it renames      `remove_finished`: under DVC, the next
                                       KEY.safetensors                      stage that depends on models/adapter

A finished checkpoint stays until the outputs are safe in DVC's cache. If DVC cannot store them, the next `dvc repro`
resumes after the last step and only writes the outputs again.
"""

import json
import os
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from classifier.errors import InputError
from classifier.files.digests import digest_of
from classifier.files.places import ADAPTER, BASE, TOKENS
from classifier.files.writing import replace_file
from classifier.params.catalogue import Method, Model
from classifier.training.recipe import Recipe

FOLDER = Path(".checkpoints")
# The code that the weights depend on.
CODE = [Path("classifier", name) for name in ("distributed", "model", "tasks", "text", "training")]


def run_key(recipe: Recipe, model: Model, method: Method) -> str:
    """Return a digest of everything that the weights depend on, except the hardware.

    The weights differ between kinds of hardware, which round differently. With dropout they also differ between
    numbers of processes, because each process draws its own masks.
    """
    settings = {"model": model, "method": method, **recipe.model_dump()}
    libraries = {name: version(name) for name in ("numpy", "peft", "torch", "transformers")}
    inputs = [TOKENS / "train.arrow", TOKENS / "validation.arrow", BASE]
    return digest_of(settings | libraries, [*inputs, *CODE])


class Checkpoint:
    """The checkpoint of one run.

    CHECKPOINT_MINUTES in the environment (1 by default) sets the time between two checkpoints. params.yaml has no such
    setting, because the time changes no result.

    Args:
        key: The digest of the run that `run_key` returns.

    Raises:
        InputError: CHECKPOINT_MINUTES is not a number.
    """

    def __init__(self, key: str):
        self.key, self.saved_at = key, time.monotonic()
        self.path, self.finished_path = FOLDER / f"{key}.safetensors", FOLDER / f"{key}.finished.safetensors"
        minutes = os.environ.get("CHECKPOINT_MINUTES", "1")
        try:
            self.seconds_between = 60 * float(minutes)
        except ValueError:
            raise InputError(f"CHECKPOINT_MINUTES={minutes} in the environment: a number is needed") from None

    @property
    def is_due(self) -> bool:
        """Whether the time between two checkpoints has passed since the last `save`."""
        return time.monotonic() - self.saved_at > self.seconds_between

    def save(self, tensors: dict[str, Any], state: dict[str, Any]) -> None:
        """Replace the checkpoint by these tensors and this JSON-serializable state, completely or not at all."""
        from safetensors.torch import save_file

        with replace_file(self.path) as part:
            save_file(tensors, part, metadata={"state": json.dumps(state)})
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        self.saved_at = time.monotonic()

    def load(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Return the tensors and the state of the checkpoint, in progress or finished, or None if it is absent.

        All other files in .checkpoints/ are removed: checkpoints of other runs, and unfinished files of killed runs.
        """
        from safetensors import safe_open

        for path in FOLDER.glob("*"):
            if path not in (self.path, self.finished_path):
                path.unlink()
        for path in (self.path, self.finished_path):
            if path.is_file():
                with safe_open(path, framework="pt") as file:
                    names = file.keys()
                    return {name: file.get_tensor(name) for name in names}, json.loads(file.metadata()["state"])
        return None

    def finish(self) -> None:
        """Mark the checkpoint as finished: the outputs of the run are written."""
        if self.path.is_file():  # absent if the run resumed from a finished checkpoint
            self.path.rename(self.finished_path)


def remove_finished(deps: list[str]) -> None:
    """Remove finished checkpoints if DVC has started a stage that needs the trained adapter.

    Before DVC starts such a stage, it has stored the outputs of the training in its cache. If the stage was started
    without DVC, the outputs may not be stored, and nothing is removed. The checkpoint of an interrupted run always
    stays.

    Args:
        deps: The dependencies of the stage, as in dvc.yaml.
    """
    if "DVC_STAGE" in os.environ and ADAPTER.as_posix() in deps:
        for path in FOLDER.glob("*.finished.safetensors"):
            path.unlink(missing_ok=True)
