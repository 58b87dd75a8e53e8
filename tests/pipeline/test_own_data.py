"""README's section "Your own data" on the tiny project: its three commands, and the entry that the first one writes."""

import random
import re
import shlex
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from commands import read
from new_command import add
from ruamel.yaml import YAML
from tiny import ROOT, reviews

SECTION = (ROOT / "README.md").read_text().partition("## Your own data")[2].partition("\n## ")[0]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", SECTION, re.DOTALL)


@pytest.fixture
def own_file(finished):
    """reviews.csv with the columns, labels and delimiter of README's entry, and new.csv with new texts."""
    rows = [(text, ("bad", "good")[label], f"2026-01-{n % 28 + 1:02}") for n, (text, label) in enumerate(reviews(120))]
    frame = pd.DataFrame(rows, columns=["body", "opinion", "date"])
    frame.to_csv("reviews.csv", index=False, sep=";")
    frame[:3][["body"]].to_csv("new.csv", index=False)
    return finished


def test_readme_commands_classify_a_file_of_ones_own(own_file, forked_commands):
    (commands,), (entry, _) = blocks("bash"), blocks("yaml")  # the second block has the entries of other tasks
    setup, *lines = commands.splitlines()
    assert setup.startswith("make env && source .venv/bin/activate  ")  # the tests have this environment already
    for line in lines:
        subprocess.run(shlex.split(line, comments=True), check=True, capture_output=True)
    params = YAML(typ="safe").load(Path("params.yaml").read_text())
    assert params["dataset"] == "reviews"
    written = {key: value for key, value in params["datasets"]["reviews"].items() if value is not None}
    assert written == YAML(typ="safe").load(entry)["reviews"]
    assert read("metrics/data.json")["test"] == pytest.approx(0.2 * read("metrics/data.json")["train"] / 0.64, abs=3)
    assert Path("data/local/reviews.csv.dvc").is_file()
    scored = pd.read_csv("scored.csv")
    assert scored.columns.tolist() == ["body", "predicted", "confidence"]
    assert set(scored["predicted"]) <= {"bad", "good"}


GOOD = (
    *("Arrived two days early and works well.", "Sturdy, quiet and easy to clean.", "I would buy it again."),
    *("Setting it up took five minutes.", "The battery lasts a week.", "Best lamp I have had so far."),
    *("My daughter loves it.", "Fits perfectly."),
)
BAD = (
    *("It stopped working after a week, and nobody answers.", "The manual is missing.", "Smells of plastic."),
    *("The screen was scratched.", "Much smaller than in the picture.", "It leaks.", "Sent it back."),
    "The app asks for an account.",
)


def test_the_tutorial_shows_what_apps_new_prints(place):
    """On the tutorial's made-up file: 120 reviews with semicolons between the fields, one of them twice."""
    rng, rows = random.Random(3), {}
    while len(rows) < 119:
        label = len(rows) % 2
        text = " ".join(rng.sample((BAD, GOOD)[label], rng.randint(1, 4)))
        rows.setdefault((text, ("bad", "good")[label]))
    frame = pd.DataFrame([*rows, list(rows)[7]], columns=["body", "opinion"])
    frame.insert(0, "date", [f"2026-{n % 12 + 1:02}-{n % 28 + 1:02}" for n in range(120)])
    frame.to_csv("reviews.csv", index=False, sep=";")
    tutorial = (ROOT / "docs/tutorials/your-csv.md").read_text()
    (shown,) = re.findall(r"```\n(reviews.csv\n.*?)```", tutorial, re.DOTALL)
    assert add("reviews.csv") == shown
    (in_readme,) = re.findall(r"```\n(  form.*?)```", SECTION, re.DOTALL)
    assert in_readme in shown
