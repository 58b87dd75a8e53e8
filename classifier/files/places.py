"""The paths of the files that stages exchange."""

from pathlib import Path

LOCAL = Path("data/local")  # the user's own tables
RAW = Path("data/raw")  # {train,validation,test}.parquet: text, label
# {train,validation,test}.arrow: input_ids, label; and text, the text's number, in splits whose texts have several rows
TOKENS = Path("data/tokens")
BASELINE = Path("data/baseline.parquet")  # the baseline's prediction for each test row
DOUBTFUL = Path("data/doubtful_labels.csv")  # train texts to which the baseline gives another label
PREDICTIONS = Path("data/predictions.parquet")  # the classifier's prediction for each test row
BASE = Path("models/base")  # the encoder as published
ADAPTER = Path("models/adapter")  # the weights trained on top of the encoder, tokenizer and settings
VALIDATION = ADAPTER / "validation.parquet"  # the classifier's prediction for each validation row
METRICS = Path("metrics")
