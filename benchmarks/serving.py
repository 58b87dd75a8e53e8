"""Load the server with 1, 8 and 64 clients, beside transformers' pipeline behind FastAPI as people write it.

    make serving         # installs locust; after `dvc repro`

Both servers have the trained model and run on this machine, as do the clients of locust (serving_clients.py). A client
posts a test review, waits for the answer and posts the next. The reviews are those that fit into one window, without
markup, so that both servers read the same tokens. The servers are loaded in turn. benchmarks/serving_faults.py mixes
faulty requests in.
"""

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from benchmarks.record import Record
from classifier.files.formats import read_table, write_json
from classifier.files.places import RAW
from classifier.model.loading import load_classifier
from classifier.predict.classifier import Classifier
from classifier.text.cleaning import clean_texts

WHAT = (
    "Texts a second and the time of a request, of make serve in fp32 and with --precision auto, and of transformers' "
    "pipeline behind FastAPI. Clients on the same machine load each server. A client sends a review, waits for the "
    "answer, and sends the next one."
)
OURS, FAST, THEIRS = "make serve", "make serve, --precision auto", "pipeline"
RATIO = "times as many texts/s"
FORMATS = {"clients": ",.0f"} | {
    f"{server}, {what}": spec
    for what, spec in (("texts/s", ",.1f"), ("p50 ms", ",.0f"), ("p99 ms", ",.0f"))
    for server in (OURS, FAST, THEIRS)
}
FORMATS |= {RATIO: ".2f", f"{RATIO}, --precision auto": ".2f"}


def reviews_of_one_window(classifier: Classifier) -> list[str]:
    """Return the test texts that fit into one window, without markup."""
    settings = classifier.model.config.tokenize
    texts = clean_texts(read_table(RAW / "test.parquet")[0]["text"].tolist(), settings["strip_markup"])
    lengths = [sum(map(len, windows)) for windows in classifier.token_windows(texts)]
    return [text for text, length in zip(texts, lengths, strict=True) if 0 < length < settings["max_length"]]


@contextmanager
def running(*command: str) -> Iterator[tuple[str, int]]:
    """Run a server as `python -m COMMAND PORT`; yield its address and its process number once it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen([sys.executable, "-m", *command, str(port)])
    try:
        while True:
            if process.poll() is not None:
                raise SystemExit(f"{' '.join(command)}: ended with status {process.returncode}")
            with suppress(urllib.error.URLError, TimeoutError):
                urllib.request.urlopen(f"{url}/openapi.json", timeout=60).close()
                break
            time.sleep(0.1)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait()


def load(url: str, bodies: Path, clients: int, seconds: int) -> dict[str, float]:
    """Load a server; return the texts a second, and the median and the 99th percentile of the times in milliseconds."""
    options = {"host": url, "bodies": bodies, "users": clients, "spawn-rate": clients, "run-time": seconds}
    options |= {"locustfile": Path(__file__).with_name("serving_clients.py"), "stop-timeout": 60, "loglevel": "ERROR"}
    command = [sys.executable, "-m", "locust", "--headless", "--reset-stats", "--json", "--skip-log"]
    (stats,) = json.loads(subprocess.check_output(command + [f"--{name}={value}" for name, value in options.items()]))
    times = np.repeat([float(time) for time in stats["response_times"]], [*stats["response_times"].values()])
    p50, p99 = np.percentile(times, (50, 99)).tolist()
    return {
        "texts/s": stats["num_requests"] / (stats["last_request_timestamp"] - stats["start_time"]),
        "p50 ms": p50,
        "p99 ms": p99,
    }


def main(
    seconds: Annotated[int, typer.Option(min=1, help="Seconds of each load.")] = 30,
    clients: Annotated[str, typer.Option(help="Numbers of clients, separated by spaces.")] = "1 8 64",
) -> None:
    """Compare the server with transformers' pipeline behind FastAPI under load."""
    if find_spec("locust") is None:
        raise SystemExit("serving: locust is not installed; `make serving` installs it")
    record, table, classifier = Record("serving", WHAT), [], Classifier()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        for part in load_classifier():
            part.save_pretrained(folder)
        texts = reviews_of_one_window(classifier)
        servers = {}
        for server, command, form in (
            (OURS, ("apps.serve", "--port"), lambda text: {"texts": text}),
            (FAST, ("apps.serve", "--precision", "auto", "--port"), lambda text: {"texts": text}),
            (THEIRS, ("benchmarks.serving_peer", name), lambda text: {"text": text}),
        ):
            write_json(folder / f"{server}.bodies", [form(text) for text in texts])
            servers[server] = stack.enter_context(running(*command))[0], folder / f"{server}.bodies"
        for count in map(int, clients.split()):
            found = {server: load(*place, count, seconds) for server, place in servers.items()}
            row = {f"{server}, {what}": value for server, numbers in found.items() for what, value in numbers.items()}
            ratios = [found[server]["texts/s"] / found[THEIRS]["texts/s"] for server in (OURS, FAST)]
            table.append({"clients": count, **row, RATIO: ratios[0], f"{RATIO}, --precision auto": ratios[1]})
            print(table[-1], flush=True)
    record.write(pd.DataFrame(table), FORMATS)


if __name__ == "__main__":
    typer.run(main)
