"""`apps.new` and the whole pipeline with the real encoder, for files in the forms of five well-known data sets."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import read
from tiny import ROOT, reviews

ROWS = reviews(200)


def write_semicolons(folder: Path) -> Path:
    """As Excel in Europe writes a table: sep=;, semicolons, cp1252."""
    rows = [["Bewertung", "Urteil"], *([f"{text}: 5 €", ["nein", "ja"][label]] for text, label in ROWS)]
    path = folder / "export.csv"
    with path.open("w", encoding="cp1252", newline="") as file:
        file.write("sep=;\r\n")
        csv.writer(file, delimiter=";").writerows(rows)
    return path


def write_sentiment140(folder: Path) -> Path:
    path = folder / "training.csv"
    with path.open("w", encoding="latin-1", newline="") as file:
        rows = (
            (4 * label, n, "Mon Apr 06", "NO_QUERY", f"user{n}", f"{text} à") for n, (text, label) in enumerate(ROWS)
        )
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows)
    return path


def write_sms(folder: Path) -> Path:
    path = folder / "SMSSpamCollection"
    path.write_text("".join(f"{['ham', 'spam'][label]}\t{text}\n" for text, label in ROWS))
    return path


def write_aclimdb(folder: Path) -> Path:
    for number, (text, label) in enumerate(ROWS):
        path = folder / "aclImdb" / ("train" if number < 150 else "test") / ["neg", "pos"][label] / f"{number}_1.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "aclImdb"


def write_yelp(folder: Path) -> Path:
    path = folder / "yelp_academic_dataset_review.json"
    rows = ({"review_id": f"r{n}", "stars": [1.0, 5.0][label], "text": text} for n, (text, label) in enumerate(ROWS))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.scale
@pytest.mark.parametrize("write", [write_semicolons, write_sentiment140, write_sms, write_aclimdb, write_yelp])
def test_from_a_file_to_a_model(write, tmp_path, monkeypatch):
    subprocess.run(["git", "clone", "-q", ROOT, tmp_path / "project"], check=True)
    path = write(tmp_path)
    monkeypatch.chdir(tmp_path / "project")
    environment = os.environ | {"DVC_SITE_CACHE_DIR": str(tmp_path / "site-cache")}
    for command in (["apps.new", str(path)], ["dvc", "repro"]):
        subprocess.run([sys.executable, "-m", *command], check=True, env=environment, stdin=subprocess.DEVNULL)
    results = read("metrics/evaluate.json")
    assert results["accuracy"] > 0.8
    assert "accuracy" in Path("metrics/report.md").read_text()
    done = subprocess.run(
        [sys.executable, "-m", "apps.infer", "a great film that I loved"], capture_output=True, text=True
    )
    assert done.returncode == 0
