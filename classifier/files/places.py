"""The paths of the files that stages exchange, and the names of the splits."""

from pathlib import Path

SPLITS = ("train", "validation", "test")
LOCAL = Path("data/local")  # the user's own tables
# SPLIT.parquet for each split: text, label; for pairs also text_pair; in test also in_train and the columns of slices
RAW = Path("data/raw")
# SPLIT.arrow for each split: input_ids, label; in validation and test also text, the number of the row's text
TOKENS = Path("data/tokens")
BASELINE = Path("data/baseline.parquet")  # the baseline's prediction for each test row
DOUBTFUL = Path("data/doubtful_labels.csv")  # train texts to which the baseline gives another label
PREDICTIONS = Path("data/predictions.parquet")  # the classifier's prediction for each test row
BASE = Path("models/base")  # the encoder as published
ADAPTER = Path("models/adapter")  # the trained weights, the tokenizer and the settings; needs BASE
VALIDATION = ADAPTER / "validation.parquet"  # the classifier's prediction for each validation row
FEATURES = ADAPTER / "features.safetensors"  # the inputs of the network's last layer for a sample of validation texts
EXPORT = Path("models/export")  # the classifier in forms that other programs load
METRICS = Path("metrics")
