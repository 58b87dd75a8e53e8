"""Sample, convert, write and read features: the inputs of the network's last layer for each text, in half precision.

models/adapter/features.safetensors holds the features of validation texts. classifier/predict/distance.py compares
the features of other texts with them, to measure how much the other texts differ from the validation texts.
"""

from pathlib import Path

import numpy as np

from classifier.files.places import FEATURES
from classifier.text.duplicates import digest
from classifier.text.pairs import Text

SAMPLE = 2000  # the most texts whose features are kept


def sampled_rows(count: int) -> np.ndarray:
    """Return the numbers, counted from 0, of at most SAMPLE evenly spaced rows among `count` rows.

    >>> len(sampled_rows(5000)), sampled_rows(5000)[:4].tolist(), sampled_rows(3).tolist()
    (2000, [0, 2, 5, 7], [0, 1, 2])
    """
    kept = min(count, SAMPLE)
    return np.arange(kept) * count // max(kept, 1)


def in_half_precision(features: np.ndarray) -> np.ndarray:
    """Return features in half precision, float16. Numbers beyond its range are cut to 65,504 or -65,504."""
    return features.clip(-65504, 65504).astype(np.float16)


def to_bytes(text: Text, features: np.ndarray) -> bytes:
    """Return the digest of a text, 16 bytes, and its features, (width,), in half precision."""
    return digest(text) + in_half_precision(features).tobytes()


def from_bytes(content: bytes) -> tuple[bytes, np.ndarray]:
    """Return the digest and the features that `to_bytes` has stored."""
    return content[:16], np.frombuffer(content[16:], np.float16)


def write_features(folder: Path, features: np.ndarray) -> None:
    """Write a sample of the features of all validation texts, (texts, width), into a folder."""
    from safetensors.numpy import save_file

    save_file({"features": in_half_precision(features[sampled_rows(len(features))])}, folder / FEATURES.name)


def read_features() -> np.ndarray | None:
    """Return the features that `write_features` wrote, (texts, width) float16; None if models/adapter has none."""
    from safetensors.numpy import load_file

    return load_file(FEATURES)["features"] if FEATURES.is_file() else None
