"""Read params.yaml as it would be with the overrides of an experiment."""

import shutil
import tempfile
from pathlib import Path

from pydantic import BaseModel

from classifier.errors import InputError
from classifier.runner.params import PARAMS, load_params


def params_with(overrides: list[str]) -> BaseModel:
    """Return params.yaml as `dvc exp run -S` would change it. Raises InputError for a wrong override."""
    from dvc.exceptions import DvcException
    from dvc.utils.hydra import apply_overrides
    from ruamel.yaml.error import YAMLError

    load_params()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(PARAMS, folder))
        try:
            apply_overrides(path, overrides)
            return load_params(path)
        except (DvcException, YAMLError) as error:  # YAMLError: a range, which stands for several experiments
            why = str(error.__cause__ or error).splitlines()[0].rstrip(".")
            raise InputError(f"SET: {why}; write NAME=VALUE, with one value, as `dvc exp run -S` takes it") from None
        except InputError as error:
            raise InputError(str(error).replace(str(path), str(PARAMS))) from None
