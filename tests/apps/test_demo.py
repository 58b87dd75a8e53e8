"""The demo page: its verdicts, marked words and HTTP API and, where a browser is installed, what a visitor sees."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pandas as pd
import psutil
import pytest
from commands import infer_command, predict
from stores import free_port

from apps.demo_actions import OPPOSING, SUPPORTING, marked_words
from apps.demo_page import COLUMNS_LABEL
from classifier.evaluation.tasks.single_label import verdict_on
from classifier.evaluation.tasks.task import MEASURES
from classifier.files.places import PREDICTIONS
from classifier.predict.explanation import Explanation

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TEXT = "a great film , not boring and i loved it"


def test_verdict():
    assert verdict_on("positive", 0.9, 0.0) == "**positive** with a confidence of 90.00%."
    reached = "**positive** with a confidence of 90.00%, which reaches the threshold of 90.00%."
    assert verdict_on("positive", 0.9, 0.9) == reached
    assert verdict_on("5*", 0.8, 0.0) == "**5\\*** with a confidence of 80.00%."
    below = "**uncertain**: positive has a confidence of 80.00%, below the threshold of 90.00%."
    assert verdict_on("positive", 0.8, 0.9) == below


@pytest.mark.parametrize(
    ("task", "row", "expected"),
    [
        ("single-label", {"predicted": 1, "confidence": 0.9}, "**5** with a confidence of 90.00%."),
        ("multi-label", {"predicted": [1, 1], "confidence": 0.6}, "**4, 5** with a confidence of 60.00%."),
        ("multi-label", {"predicted": [0, 0], "confidence": 0.6}, "**no label** with a confidence of 60.00%."),
        (
            "regression",
            {"predicted": 7.25, "low": -1.5, "high": 16.0},
            "**7.25**, with a 90% interval from -1.5 to 16.",
        ),
        ("regression", {"predicted": 7.25, "low": np.nan, "high": np.nan}, "**7.25**."),
        (
            "ordinal",
            {"predicted": 0, "confidence": 0.8, "expected": 4.2},
            "**4** with a confidence of 80.00%. The expected value is 4.20.",
        ),
    ],
)
def test_verdict_of_each_task(task, row, expected):
    assert MEASURES[task].verdict(row, ["4", "5"], 0.0) == expected


def test_marked_words():
    explained = Explanation(
        "positive", 0.9, ["not", "so", "good", "very", "good"], [-2.0, 0.0, 1.0, 0.0, 1.0], 0.0, 0.0
    )
    pieces, colors = marked_words(explained)
    assert pieces == [("not", "-2.0"), ("so", None), ("good", "+1.0"), ("very", None), ("good", "+1.0")]
    assert colors == {"-2.0": OPPOSING, "+1.0": SUPPORTING}
    assert marked_words(Explanation("positive", 0.9, ["a", "b"], [0.0, 0.0], 0.0, 0.0)) == ([("a b", None)], {})


@pytest.fixture
def address(finished, tmp_path):
    """The address of a page that runs in another process, and is checked when it ends."""
    pytest.importorskip("gradio", reason="make test-scale installs it")
    port = free_port()
    (tmp_path / "temporary").mkdir()
    environment = os.environ | {"GRADIO_SERVER_PORT": str(port), "TMPDIR": str(tmp_path / "temporary")}
    environment |= {
        "LAUNCH": "torchrun --nproc-per-node 2",
        "http_proxy": "http://127.0.0.1:9",
    }  # the page ignores both
    with (tmp_path / "log").open("w") as log:
        process = psutil.Popen([sys.executable, "-m", "apps.demo"], env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(url).close()
                break
            except urllib.error.URLError:
                assert process.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.2)
        listening = {c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN}
        assert listening == {"127.0.0.1"}
        yield url
    finally:
        process.terminate()
        process.wait(timeout=60)
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert not [path for path in (tmp_path / "temporary").rglob("*") if path.is_file()]  # uploads are gone


@pytest.fixture
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="make test-scale installs it")
    if BROWSER is None:
        pytest.skip("neither chromium nor google-chrome is installed")
    with api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=BROWSER, args=arguments)
        yield browser
        browser.close()


def called(address: str, name: str, *data) -> list:
    """Call the HTTP API in the way that docs/how-to/ship.md shows; return the data of the answer."""
    url, content = f"{address}/gradio_api/call/{name}", json.dumps({"data": data})
    command = ["curl", "-s", url, "-H", "Content-Type: application/json", "-d", content]
    event = json.loads(subprocess.check_output(command))["event_id"]
    *_, last = subprocess.check_output(["curl", "-sN", f"{url}/{event}"], text=True).strip().splitlines()
    return json.loads(last.removeprefix("data: "))


@pytest.mark.scale
def test_http_api(address):
    ((label, confidence),) = predict([TEXT])
    answer, bars = called(address, "classify", TEXT, 0.0, 0)
    assert answer == f"**{label}** with a confidence of {confidence:.2%}."
    assert bars["label"] == label
    assert bars["confidences"][0]["confidence"] == pytest.approx(confidence)
    assert called(address, "classify", TEXT, 1.0, 0)[0].startswith("**uncertain**")
    ((*_, labels),) = predict([TEXT], sets=0.9)
    assert called(address, "classify", TEXT, 0.0, 0.9)[0] == f"{answer} The set for 90%: {', '.join(labels)}."
    assert "sets: too few validation rows for 0.99" in called(address, "classify", TEXT, 0.0, 0.99)["error"]
    assert called(address, "classify", " ", 0.0, 0)["error"] == "the text has nothing to read, so no label; type a text"
    (words,) = called(address, "explain", TEXT)
    assert " ".join(piece["token"] for piece in words["value"]) == TEXT


@pytest.mark.scale
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_text_in_a_browser(address, browser, scheme):
    page = browser.new_page(color_scheme=scheme)
    page.goto(address)
    page.get_by_label("Text", exact=True).fill(TEXT)
    page.get_by_role("button", name="Classify").click()
    ((label, confidence),) = predict([TEXT])
    page.get_by_text(re.compile(f"{label} (with|has) a confidence of {confidence:.2%}")).wait_for()
    marked = page.locator(".token.highlighted .text")
    marked.first.wait_for()
    shown = infer_command("--explain", TEXT)
    for word in marked.all_inner_texts():
        assert f"[{word} " in shown
    colors = marked.first.evaluate("e => [getComputedStyle(e).color, getComputedStyle(document.body).color]")
    assert colors[0] == colors[1]


@pytest.mark.scale
def test_a_file_in_a_browser(address, browser, tmp_path):
    texts = pd.read_parquet(PREDICTIONS)[:5]
    texts[["text"]].to_csv(tmp_path / "texts.csv", index=False)
    page = browser.new_page()
    page.goto(address)
    page.get_by_role("tab", name="A file").click()
    page.get_by_role("slider").first.fill("0")
    page.get_by_role("slider").last.fill("0.9")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "texts.csv")
    page.get_by_label(COLUMNS_LABEL).fill("body")
    score = page.get_by_role("button", name="Score")
    score.click()
    page.get_by_text("no column 'body'; the texts are read from body, and the file has text").wait_for()
    page.get_by_label(COLUMNS_LABEL).fill("text")
    score.click()
    with page.expect_download() as download:
        page.locator("a[download='texts.scored.parquet']").click()
    scored = pd.read_parquet(download.value.path())
    labels = ["negative", "positive"]
    assert scored["predicted"].tolist() == [labels[number] for number in texts["predicted"]]
    assert [[*names] for names in scored["set"]] == [answer[2] for answer in predict(texts["text"], sets=0.9)]
    page.get_by_role("gridcell", name=scored["predicted"][0]).first.wait_for()
