"""Parse each YAML text once in a run of the tests, whichever process parses it first.

A test of the pipeline starts one process for DVC and one for each stage. All of them parse the same dvc.yaml,
params.yaml and dvc.lock. ruamel.yaml takes 25 to 80 ms for one of these files. This module keeps the parsed content
of each text as a pickle, in the folder that PARSED_YAML in the environment names. It also keeps the content that DVC
writes to dvc.lock, because DVC reads dvc.lock again before it writes the result of the next stage.
"""

import io
import os
import pickle
from hashlib import sha256
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

load, dump = YAML.load, YAML.dump


def pickle_of(yaml: YAML, text: str) -> Path:
    """Return the place of a text's content, as this kind of parser returns it."""
    name = sha256(f"{yaml.typ} {yaml.pure} {text}".encode(errors="surrogatepass")).hexdigest()
    return Path(os.environ.get("PARSED_YAML", os.devnull), name)


def keep(path: Path, content: Any) -> None:
    """Write a pickle, unless PARSED_YAML is not set."""
    if path.parent.is_dir():
        unfinished = path.with_name(f"{path.name}.{os.getpid()}")
        unfinished.write_bytes(pickle.dumps(content))
        unfinished.replace(path)


def load_once(self: YAML, stream: Any) -> Any:
    """Return what YAML.load returns. A text with an error is parsed each time, and so is a file."""
    if not isinstance(stream, str):
        return load(self, stream)
    path = pickle_of(self, stream)
    if path.exists():
        return pickle.loads(path.read_bytes())
    content = load(self, stream)
    keep(path, content)
    return content


def dump_and_keep(self: YAML, data: Any, stream: Any = None, **options: Any) -> Any:
    """Do what YAML.dump does. Content is kept for the default kind of parser only: others turn tuples into lists."""
    if not isinstance(stream, io.TextIOBase) or options or self.typ != ["rt"]:
        return dump(self, data, stream, **options)
    text = io.StringIO()
    dump(self, data, text)
    stream.write(text.getvalue())
    keep(pickle_of(self, text.getvalue()), data)


YAML.load, YAML.dump = load_once, dump_and_keep
