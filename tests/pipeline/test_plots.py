"""`dvc plots` draws what was meant: its specifications are rendered by Vega-Lite itself, to SVG, and read; and so is
the page, after a browser has drawn it.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import vl_convert
from commands import dvc, git
from dvc_render import VegaRenderer
from tiny import ROOT, edit_params

TEMPLATES = ROOT / ".dvc" / "plots"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
EXPECTED = {
    "Loss": ("Loss", "step", "loss", "training", "validation"),
    "metrics/training.csv": ("Learning rate", "step", "learning rate"),
    "metrics/validation.csv": ("Validation score", "step", "score (accuracy, micro F1 or R²)"),
    "metrics/confusion.csv": ("Confusion matrix, test split", "predicted", "actual"),
    "metrics/roc.csv": ("ROC, test split", "false positive rate", "true positive rate"),
    "metrics/precision_recall.csv": ("Precision and recall, test split", "recall", "precision"),
    "metrics/coverage.csv": ("Accuracy of the most confident texts, test split", "accuracy", "lowest confidence"),
    "metrics/sets.csv": (
        *("Coverage of prediction sets, test split", "target (share of the texts that the sets should cover)"),
        "coverage (share that they cover)",
    ),
    "metrics/reliability.csv": ("Reliability, test split", "confidence", "before", "after", "texts"),
}


def svg(content: dict) -> str:
    return vl_convert.vegalite_to_svg(content, vl_version="5.21")


def drawn(*args: str) -> dict[str, str]:
    """Plot -> its SVG, of `dvc plots ARGS`, pictures left out."""
    plots = json.loads(dvc("plots", *args, "--json"))["data"]
    return {name: svg(plot[0]["content"]) for name, plot in plots.items() if plot[0]["type"] == "vega"}


def lines(picture: str) -> list[str]:
    """The colours of the lines that have a length."""
    marks = re.findall(
        r'<path aria-label="[^"]*" role="graphics-symbol" aria-roledescription="line mark" [^>]*>', picture
    )
    return [re.search(r'stroke="([^"]+)"', mark)[1] for mark in marks if "L" in re.search(r' d="([^"]*)"', mark)[1]]


def check(plots: dict[str, str]) -> None:
    """Every plot has its title, axes and data."""
    assert plots.keys() == EXPECTED.keys()
    for name, texts in EXPECTED.items():
        assert [text for text in texts if f">{text}</text>" not in plots[name]] == []
    cells = r"predicted: (\w+); actual: (\w+); text: (\d+),([\d.]+)%"
    assert {
        (actual, predicted): (int(count), float(share))
        for predicted, actual, count, share in re.findall(cells, plots["metrics/confusion.csv"])
    } == {
        (actual, predicted): (count, round(100 * share, 1))
        for actual, predicted, count, share in pd.read_csv("metrics/confusion.csv").itertuples(index=False)
    }
    assert len(lines(plots["Loss"])) == 3  # training, raw and smoothed, and validation
    assert len(lines(plots["metrics/coverage.csv"])) == 2
    for name in ("validation", "roc", "precision_recall", "coverage", "sets", "reliability"):
        assert re.search(r">\d+%</text>", plots[f"metrics/{name}.csv"]), name
    intervals = plots["metrics/reliability.csv"].count('aria-roledescription="rule mark"')
    assert intervals == (pd.read_csv("metrics/reliability.csv")["calibration"] == "after").sum()
    assert len(lines(plots["metrics/roc.csv"])) == 1
    assert plots["metrics/roc.csv"].count(">workspace</text>") == 1  # one legend


def test_every_plot_has_its_title_axes_and_data(finished):
    check(drawn("show"))


def test_diff_lays_revisions_over_each_other(finished):
    edit_params(finished, **{"train.learning_rate": 0.002})
    dvc("repro")
    plots = drawn("diff", "main")
    assert plots.keys() == EXPECTED.keys()
    for name in plots.keys() - {"metrics/confusion.csv"}:
        assert len(set(lines(plots[name])) - {"gray"}) == 2, name  # one colour for each revision; gray: the diagonal
        assert ">main</text>" in plots[name]
        assert ">workspace</text>" in plots[name]
    assert len(re.findall("text: [0-9]+,", plots["metrics/confusion.csv"])) == 8  # a matrix beside the other


@pytest.mark.parametrize("template", ["rates", "confusion_counts"])
def test_more_than_two_labels(template):
    names = ["world", "sports", "business"]
    if template == "rates":
        rows = [{"label": name, "x": x, "y": x**0.5, "rev": "workspace"} for name in names for x in (0, 0.5, 1)]
    else:
        rows = [{"x": a, "y": b, "count": 7, "share": 0.25, "rev": "workspace"} for a in names for b in names]
    plot = VegaRenderer(rows, "plot", template=template, template_dir=str(TEMPLATES), x="x", y="y")
    picture = svg(plot.get_filled_template())
    if template == "rates":
        assert len(set(lines(picture))) == 3  # a colour for each label
    else:
        assert picture.count(">25.0%</tspan>") == 9
    assert [name for name in names if f">{name}</text>" not in picture] == []


def test_confusions_of_many_labels():
    """Without the matrix's diagonal, the largest confusions stand in one column."""
    rows = [{"x": "b", "y": f"a{i}", "count": 30 - i, "share": 0.25, "rev": "workspace"} for i in range(25)]
    plot = VegaRenderer(rows, "plot", template="confusion_counts", template_dir=str(TEMPLATES), x="x", y="y")
    picture = svg(plot.get_filled_template())
    assert picture.count(">25.0%</tspan>") == 20
    assert ">actual a0 → predicted b</text>" in picture
    assert "a24" not in picture


@pytest.fixture
def page(finished, forked_commands) -> Path:
    """What `make plots` writes."""
    subprocess.run(["make", "-f", ROOT / "Makefile", "-o", ".venv/.ready", "plots"], check=True)
    return Path("dvc_plots/index.html").resolve()


def test_page_has_the_bundled_libraries_and_dvcs_own(page):
    """The libraries beside the page if they are there, else those that DVC names; both from one template."""
    text = page.read_text()
    bundled, online = text.index('<script src="vega.js">'), text.index("https://cdn")
    assert bundled < text.index('<template id="online">') < online < text.index("</template>") < text.index("vegaEmbed")
    assert "window.vegaEmbed" in page.with_name("vega.js").read_text()
    assert git("status", "--porcelain") == ""


@pytest.mark.skipif(BROWSER is None, reason="neither chromium nor google-chrome is installed")
def test_page_draws_in_a_browser(page, tmp_path):
    """With the libraries beside the page; and without them, a copy in the place of DVC's addresses."""
    options = ["--headless", "--no-sandbox", f"--user-data-dir={tmp_path / 'browser'}", "--virtual-time-budget=20000"]
    command = [BROWSER, *options, "--dump-dom", page.as_uri()]
    for online in (False, True):
        if online:
            page.write_text(re.sub(r'https://cdn[^"]+', "copy.js", page.read_text()))
            page.with_name("vega.js").rename(page.with_name("copy.js"))
        dom = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
        plots = dict(re.findall(r'<div id="(\w+)"[^>]*>.*?(<svg .*?</svg>)', dom, re.DOTALL))
        check({name: plots[re.sub(r"\W", "_", name)] for name in EXPECTED})
