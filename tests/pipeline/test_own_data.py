"""README's section "Your own data" on the tiny project, word for word: an entry, a selection, and three commands."""

import re
import shlex
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from commands import read
from tiny import ROOT, reviews

SECTION = (ROOT / "README.md").read_text().partition("## Your own data")[2].partition("\n## ")[0]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", SECTION, re.DOTALL)


@pytest.fixture
def own_file(finished):
    """reviews.csv with the columns and labels of README's entry, and the entry in params.yaml, selected."""
    rows = [(text, ("bad", "good")[label]) for text, label in reviews(120)]
    pd.DataFrame(rows, columns=["body", "opinion"]).to_csv("data/local/reviews.csv", index=False)
    pd.DataFrame(rows[:3], columns=["body", "opinion"])[["body"]].to_csv("new.csv", index=False)
    (entry,) = blocks("yaml")
    params = Path("params.yaml").read_text()
    params = re.sub(r"^dataset: .*", "dataset: reviews", params, flags=re.MULTILINE)
    Path("params.yaml").write_text(params.replace("\ndatasets:\n", f"\ndatasets:\n{entry}", 1))
    return finished


def test_readme_commands_classify_a_file_of_ones_own(own_file):
    (commands,) = blocks("bash")
    for line in commands.splitlines():
        subprocess.run(shlex.split(line, comments=True), check=True, capture_output=True)
    assert read("metrics/data.json")["test"] == pytest.approx(0.2 * read("metrics/data.json")["train"] / 0.64, abs=3)
    assert Path("data/local/reviews.csv.dvc").is_file()
    scored = pd.read_parquet("scored.parquet")
    assert scored.columns.tolist() == ["body", "predicted", "confidence"]
    assert set(scored["predicted"]) <= {"bad", "good"}
