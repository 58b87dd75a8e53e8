"""Where the files between stages are."""

from pathlib import Path

RAW = Path("data/raw")  # {train,validation,test}.parquet: text, label
TOKENS = Path("data/tokens")  # {train,validation,test}.arrow: input_ids, label; text, where a text has several rows
BASELINE = Path("data/baseline.parquet")  # the baseline's prediction for each test row
DOUBTFUL = Path("data/doubtful_labels.csv")  # train texts whose label the baseline would not have given
PREDICTIONS = Path("data/predictions.parquet")  # the classifier's
BASE = Path("models/base")  # the encoder as published
ADAPTER = Path("models/adapter")  # what was trained on it
VALIDATION = ADAPTER / "validation.parquet"  # its prediction for each validation row
METRICS = Path("metrics")

LOCAL = Path("data/local")
