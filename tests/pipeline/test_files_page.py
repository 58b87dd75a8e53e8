"""The entries on docs/how-to/files.md read files of the data sets' forms, which this test makes."""

import json
import re

import pandas as pd
import pytest
from local_data import run_data, write, write_csv
from ruamel.yaml import YAML
from tiny import ROOT, reviews

from classifier.files.formats import read_json, read_table
from classifier.files.places import LOCAL, METRICS, RAW
from classifier.params.datasets import Dataset

BLOCKS = re.findall(r"```yaml\n(  [\w-]+:\n.*?)```", (ROOT / "docs/how-to/files.md").read_text(), re.DOTALL)
ENTRIES = {name: entry for block in BLOCKS for name, entry in YAML(typ="safe").load(block).items()}
TEXTS = [text for text, _ in reviews(120)]


def write_export() -> None:
    rows = "".join(f'"{text}; für 5 €";{["bad", "good"][n % 2]}\r\n' for n, text in enumerate(TEXTS))
    write("export.csv", "").write_bytes(f"sep=;\r\ntext;label\r\n{rows}".encode("cp1252"))


def write_stars() -> None:
    rows = [{"text": text, "stars": float(n % 5 + 1)} for n, text in enumerate(TEXTS)]
    write("stars.jsonl", "\n".join(map(json.dumps, rows)))


def write_tickets() -> None:
    rows = [(text, ["billing", "technical", "-", ""][n % 4]) for n, text in enumerate(TEXTS)]
    write_csv("tickets.csv", [*rows, ("", "billing")])


def write_parts() -> None:
    frame = pd.DataFrame({"text": TEXTS, "label": ["bad", "good"] * 60})
    (LOCAL / "reviews").mkdir(parents=True)
    frame[:40].to_parquet(LOCAL / "reviews/part-00000.parquet")
    frame[40:80].to_parquet(LOCAL / "reviews/part-00001.parquet")
    write("reviews/_SUCCESS", "")
    frame[60:].assign(split=["train"] * 20 + ["test"] * 40).to_csv(LOCAL / "all.csv")


def write_letters() -> None:
    rows = [(text, ["routine", "urgent"][n % 2], n // 4) for n, text in enumerate(TEXTS)]
    write_csv("letters.csv", rows, ["text", "label", "patient"])


def write_ag_news() -> None:
    rows = [f'"{n % 4 + 1}","Title {n}","{text}"\n' for n, text in enumerate(TEXTS)]
    write("train.csv", "".join(rows[:80]))
    write("test.csv", "".join(rows[80:]))


def write_sentiment140() -> None:
    rows = "".join(f'"{n % 2 * 4}","{n}","Mon Apr 06","NO_QUERY","user{n // 4}","{text} à"\n'
                   for n, text in enumerate(TEXTS))  # fmt: skip
    write("training.1600000.processed.noemoticon.csv", "").write_bytes(rows.encode("latin-1"))


def write_sms() -> None:
    write("SMSSpamCollection", "".join(f'{["ham", "spam"][n % 2]}\t"{text}\n' for n, text in enumerate(TEXTS)))


def write_aclimdb() -> None:
    for n, text in enumerate(TEXTS):
        folder = LOCAL / "aclImdb" / ["train", "test"][n // 80] / ["neg", "pos", "unsup"][n % 3]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{n}_{n % 10}.txt").write_text(text)
    write("aclImdb/train/urls_neg.txt", "not a text")


def write_yelp() -> None:
    rows = [{"review_id": n, "business_id": str(n // 3), "stars": n % 5 + 1.0, "text": text}
            for n, text in enumerate(TEXTS)]  # fmt: skip
    write("yelp_academic_dataset_review.json", "\n".join(map(json.dumps, rows)))


def write_snli() -> None:
    labels = ["entailment", "neutral", "contradiction", "-"]
    rows = [json.dumps({"gold_label": labels[n % 4], "sentence1": text, "sentence2": f"Hypothesis {n}."})
            for n, text in enumerate(TEXTS)]  # fmt: skip
    for name, part in {"train": rows[:60], "dev": rows[60:90], "test": rows[90:]}.items():
        write(f"snli_1.0_{name}.jsonl", "\n".join(part))


def write_sst2() -> None:
    rows = [f'"{text} \t{n % 2}\n' for n, text in enumerate(TEXTS)]
    (LOCAL / "SST-2").mkdir(parents=True)
    write("SST-2/train.tsv", "".join(["sentence\tlabel\n", *rows[:90]]))
    write("SST-2/dev.tsv", "".join(["sentence\tlabel\n", *rows[90:]]))


# For each entry, what writes its files, the number of rows in all splits, and some values of metrics/data.json.
CASES = {
    "reviews": (write_export, 120, {"test": 24}),
    "stars": (write_stars, 96, {"rows_dropped_by_label": 24}),
    "tickets": (write_tickets, 60, {"unlabelled_rows_dropped": 60, "empty_rows_dropped": 1}),
    "parts": (write_parts, 120, {"test": 40, "official_test": True}),
    "letters": (write_letters, 120, {"groups": 30, "test": 24}),
    "ag-news-csv": (write_ag_news, 120, {"test": 40}),
    "sentiment140": (write_sentiment140, 120, {"groups": 30}),
    "sms-spam": (write_sms, 120, {"test": 24}),
    "aclimdb": (write_aclimdb, 80, {"rows_dropped_by_label": 40}),
    "yelp": (write_yelp, 120, {"groups": 40}),
    "snli": (write_snli, 90, {"unlabelled_rows_dropped": 30}),
    "sst2": (write_sst2, 120, {"validation": 30, "test": 18}),
}


def test_each_entry_has_a_case():
    assert set(ENTRIES) == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_the_entries_of_the_page(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files, rows, counts = CASES[name]
    write_files()
    dataset = Dataset(**ENTRIES[name])
    run_data(dataset=dataset, seed=1)
    written = pd.concat(read_table(path)[0] for path in RAW.iterdir())
    assert len(written) == rows
    assert set(written["label"]) == set(range(len(dataset.label_names)))
    known = {text.strip('"') for text in TEXTS}
    assert all(any(text in row for text in known) for row in written["text"][:10])
    summary = read_json(METRICS / "data.json")
    assert {key: summary[key] for key in counts} == counts
