"""Texts as they come through a pipe: a line each, answered at once."""

import json
import sys
from collections.abc import Iterator
from typing import BinaryIO

from classifier.errors import InputError
from classifier.predict.classifier import Classifier


def answer_lines(classifier: Classifier) -> None:
    """For each line of standard input print a JSON object, as soon as the line has come."""
    sys.stdout.reconfigure(encoding="utf-8")
    for batch in lines(sys.stdin.buffer):
        for text, (label, confidence) in zip(batch, classifier(batch), strict=True):
            confidence = confidence and round(confidence, 4)
            print(json.dumps({"label": label, "confidence": confidence, "text": text}, ensure_ascii=False))
        sys.stdout.flush()


def lines(stream: BinaryIO) -> Iterator[list[str]]:
    """The lines of a stream, as many at a time as have arrived: a slow writer gets its answers at once."""
    begun, count = [], 0  # the pieces of a line that has not ended
    while piece := stream.read1(2**16):
        *ends, rest = piece.split(b"\n")
        if ends:
            whole = [b"".join([*begun, ends[0]]), *ends[1:]]
            yield from decoded(whole, count + 1)
            count += len(whole)
            begun.clear()
        begun.append(rest)
    if last := b"".join(begun):
        yield from decoded([last], count + 1)


def decoded(lines: list[bytes], first: int) -> Iterator[list[str]]:
    """The lines as text; if one is not UTF-8, those before it, and then the error."""
    texts = []
    for number, line in enumerate(lines, first):
        try:
            texts.append(line.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\r"))
        except UnicodeDecodeError as error:
            yield texts
            place = f"standard input: line {number}"
            raise InputError(f"{place}: not UTF-8 ({error.reason} at byte {error.start})") from None
    yield texts
