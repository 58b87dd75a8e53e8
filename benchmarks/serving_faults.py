"""Check the server's answers and its memory over 10,000 requests, of which some are faulty.

    make serving         # after `dvc repro`

Three of ten requests are faulty: too large, of a wrong type, not UTF-8, not JSON, cut in the middle, or from a client
that does not wait. The others have one to four texts, the first 20 words of test reviews, whose answers are compared
with those of `Classifier`. Resident memory is compared with that after the first tenth of the requests.
"""

import asyncio
import json
import math
import random
from collections import Counter
from typing import Annotated, Any

import pandas as pd
import psutil
import typer

from benchmarks.record import Record
from benchmarks.serving import running
from classifier.files.formats import read_table
from classifier.files.places import RAW
from classifier.predict.answers import named_parts
from classifier.predict.classifier import Classifier

WHAT = "Requests to make serve of which some are faulty, how many had the right outcome, and the server's memory."
FORMATS = {
    "requests": "",
    "number": ",.0f",
    "right outcome": ",.0f",
    "MB after a tenth": ",.0f",
    "MB at the end": ",.0f",
}
GOOD, TOO_LARGE, CUT, LEFT = "good", "too large", "cut in the middle", "the client does not wait"
# By kind of request: its share, and the status of its response; None: no response.
KINDS = {
    GOOD: (0.7, 200),
    TOO_LARGE: (0.05, 413),
    "wrong type": (0.05, 422),
    "not UTF-8": (0.05, 400),
    "not JSON": (0.05, 400),
    CUT: (0.05, None),
    LEFT: (0.05, None),
}
AT_ONCE = 16  # requests


def body_of(kind: str, texts: list[str]) -> bytes:
    """Return the body of a request."""
    body = json.dumps({"texts": texts}).encode()
    return {
        TOO_LARGE: body[:-2].ljust(1_200_000) + body[-2:],
        "wrong type": b'{"texts": 5}',
        "not UTF-8": body[:-3] + b'\xff"]}',
        "not JSON": body[:-1],
    }.get(kind, body)


async def ask(port: int, kind: str, texts: list[str]) -> tuple[int | None, Any]:
    """Send a request; return the status and the content of the response.

    Both are None if the request is cut in the middle or the client does not wait.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = body_of(kind, texts)
    head = f"Host: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    writer.write(f"POST /predict HTTP/1.1\r\n{head}\r\n\r\n".encode() + body[: len(body) // 2 if kind == CUT else None])
    if kind in (CUT, LEFT):
        await writer.drain()
        writer.transport.abort()
        return None, None
    head, _, content = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), json.loads(content)


def agrees(found: Any, known: Any) -> bool:
    """Return whether two answers are equal, with numbers up to a difference of 0.005 or 0.5%.

    The further decimals depend on the texts that are scored in the same call.
    """
    if isinstance(known, list):
        return len(found) == len(known) and all(map(agrees, found, known))
    if isinstance(known, dict):
        return found.keys() == known.keys() and all(agrees(found[name], value) for name, value in known.items())
    return math.isclose(found, known, rel_tol=0.005, abs_tol=0.005) if isinstance(known, float) else found == known


async def ask_all(url: str, process: psutil.Process, count: int, answers: dict[str, Any]) -> list[dict]:
    """Ask the server `count` times; return the rows of the table. answers: the known answer to each text."""
    draw, numbers, asked, right, memory = random.Random(0), iter(range(count)), Counter(), Counter(), []
    shares = [share for share, _ in KINDS.values()]

    async def ask_in_turn() -> None:
        for number in numbers:  # which all tasks share
            (kind,), texts = draw.choices([*KINDS], shares), draw.sample([*answers], draw.randint(1, 4))
            status, content = await ask(int(url.rpartition(":")[2]), kind, texts)
            known = [answers[text] for text in texts]
            asked[kind] += 1
            right[kind] += status == KINDS[kind][1] and (kind != GOOD or agrees(content["answers"], known))
            if number in (count // 10, count - 1):
                memory.append(process.memory_info().rss / 1e6)

    await asyncio.gather(*(ask_in_turn() for _ in range(AT_ONCE)))
    rows = [{"requests": kind, "number": asked[kind], "right outcome": right[kind]} for kind in KINDS]
    total = {"requests": "all", "number": asked.total(), "right outcome": right.total()}
    return [*rows, total | dict(zip(("MB after a tenth", "MB at the end"), memory, strict=True))]


def main(count: Annotated[int, typer.Option(min=20, help="Requests.")] = 10_000) -> None:
    """Ask the server, with faulty requests mixed in. The exit status is 1 if an outcome is not the right one."""
    record, classifier = Record("serving_faults", WHAT), Classifier()
    texts = [" ".join(text.split()[:20]) for text in read_table(RAW / "test.parquet")[0]["text"].head(200)]
    answers = {
        text: named_parts(classifier.parts, answer) for text, answer in zip(texts, classifier(texts), strict=True)
    }
    with running("apps.serve", "--port") as (url, number):
        rows = asyncio.run(ask_all(url, psutil.Process(number), count, answers))
    record.write(pd.DataFrame(rows), FORMATS)
    if wrong := rows[-1]["number"] - rows[-1]["right outcome"]:
        raise SystemExit(f"serving_faults: {wrong} requests had a wrong outcome")


if __name__ == "__main__":
    typer.run(main)
