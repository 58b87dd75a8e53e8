"""models/adapter: what was trained on top of models/base, written.

It holds an adapter and what trains in full, the head at least; or all weights; the tokenizer; validation.parquet, the
prediction for each validation text; and a config.json with the label names and seven values of our own: `base`, a
digest of models/base; `columns` and `separator`, which say what a text was read from; `tokenize`, the settings that the
texts were cut with; `calibration_temperature` and `calibration_bias`, which the last layer has already (see
training/calibration.py); and `trained`, on what and how.
"""

from typing import Any

from classifier.files.digests import digest_of
from classifier.files.formats import read_json, write_json, write_table
from classifier.files.places import ADAPTER, BASE, VALIDATION
from classifier.files.writing import replaced


def save_classifier(network, settings: dict[str, Any], validation=None) -> None:
    """Write models/adapter/: the trained weights, tokenizer, and config.json with `base` and `settings` added to it.

    validation: a DataFrame of the validation rows (see stages/train.py), which goes with them.
    """
    from transformers import AutoTokenizer

    network.config.update({"base": digest_of({}, [BASE]), **settings})
    with replaced(ADAPTER) as folder:
        network.save_pretrained(folder)
        network.config.save_pretrained(folder)
        AutoTokenizer.from_pretrained(BASE, local_files_only=True).save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)  # peft's empty model card
        if validation is not None:
            write_table(folder / VALIDATION.name, validation, labels=list(network.config.id2label.values()))
        if (path := folder / "adapter_config.json").is_file():
            config = network.active_peft_config  # peft writes its sets in the order of their hashes
            content = {k: sorted(v) if isinstance(getattr(config, k), set) else v for k, v in read_json(path).items()}
            write_json(path, dict(sorted(content.items())))
