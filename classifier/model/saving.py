"""Write models/adapter: what was trained on top of models/base.

The folder holds

- the adapter and the modules that trained in full, the head at least; without an adapter, all weights;
- the tokenizer;
- validation.parquet, the prediction for each validation text;
- features.safetensors, the inputs of the last layer for at most 2,000 validation texts (see features.py). The inputs
  are numbers, but can reveal something about the texts, such as the topic;
- config.json, with the label names and these values of this project:
  - `base`: a digest of models/base;
  - `task`: the data set's task;
  - `columns`, `separator`: the data set's text columns, and the string between the texts of several columns;
  - `pair`, `token_types_after`: only if the texts are pairs, see stages/tokenize.py;
  - `tokenize`: the settings of the stage `tokenize`;
  - `calibration_temperature`, `calibration_bias`: the calibration, which the last layer already contains (see
    classifier/training/calibration.py);
  - `decision`: values such as thresholds, by which scores become answers (see classifier/tasks/);
  - `trained`: the data set, model and method of the training, its number of texts, the numbers of all parameters and of
    the trained ones, and `validation_chose_step` if the validations chose the step whose weights are kept.
"""

from typing import Any

from classifier.files.digests import digest_of
from classifier.files.formats import read_json, write_json, write_table
from classifier.files.places import ADAPTER, BASE, VALIDATION
from classifier.files.writing import replace_folder
from classifier.model.features import write_features


def save_classifier(network, settings: dict[str, Any], validation=None, features=None) -> None:
    """Write models/adapter: the trained weights, the tokenizer of models/base and config.json.

    Args:
        network: The trained classifier, wrapped by peft or not.
        settings: The values of this project in config.json, except `base`, which this function adds.
        validation: A DataFrame of the validation rows (see stages/train.py) for validation.parquet. None: no file.
        features: The features of the validation texts, (texts, width), for features.safetensors. None: no file.
    """
    from transformers import AutoTokenizer

    network.config.update({"base": digest_of({}, [BASE]), **settings})
    tokenizer = AutoTokenizer.from_pretrained(BASE, local_files_only=True)
    if tokenizer.pad_token_id is None:  # other programs pad with the tokenizer
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(network.config.pad_token_id)
    with replace_folder(ADAPTER) as folder:
        network.save_pretrained(folder)
        network.config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)  # peft's empty model card
        if validation is not None:
            write_table(folder / VALIDATION.name, validation, labels=list(network.config.id2label.values()))
        if features is not None:
            write_features(folder, features)
        if (path := folder / "adapter_config.json").is_file():
            sort_adapter_config(path, network.active_peft_config)


def sort_adapter_config(path, config) -> None:
    """Rewrite adapter_config.json with sorted keys and sorted sets. peft writes sets in the order of their hashes.

    config: the peft config that was written to `path`. Its lists keep their order.
    """
    content = {k: sorted(v) if isinstance(getattr(config, k), set) else v for k, v in read_json(path).items()}
    write_json(path, dict(sorted(content.items())))
