"""Score the lines of standard input as they arrive."""

import sys
from collections.abc import Iterator
from typing import BinaryIO

from classifier.errors import InputError
from classifier.predict.answers import named_parts
from classifier.predict.classifier import Classifier
from classifier.scoring.values import json_line
from classifier.text.pairs import Text, parts


def answer_lines(classifier: Classifier) -> None:
    """Print a JSON object with the parts of the answer and the text for each line of standard input, as it arrives.

    If the classifier reads pairs, a line has two texts with a tab between them, and the object also has text_pair.

    Raises:
        InputError: A line is not UTF-8, or no pair where one is needed. The answers to the lines before it are printed
            first.
    """
    sys.stdout.reconfigure(encoding="utf-8")
    for batch in arriving_lines(sys.stdin.buffer, classifier.reads_pairs):
        for text, answer in zip(batch, classifier(batch), strict=True):
            texts = dict(zip(("text", "text_pair"), parts(text), strict=False))
            print(json_line(named_parts(classifier.parts, answer) | texts))
        sys.stdout.flush()


def arriving_lines(stream: BinaryIO, are_pairs: bool = False) -> Iterator[list[Text]]:
    """Yield the lines of a stream in batches, as they arrive, so that a slow writer gets each answer at once.

    are_pairs: whether a line has the two texts of a pair.
    """
    beginning, count = [], 0  # the pieces of the unfinished line, and the number of finished lines
    while piece := stream.read1(2**16):
        *ends, rest = piece.split(b"\n")
        if ends:
            finished = [b"".join([*beginning, ends[0]]), *ends[1:]]
            yield from decode_lines(finished, count + 1, are_pairs)
            count += len(finished)
            beginning.clear()
        beginning.append(rest)
    if last := b"".join(beginning):
        yield from decode_lines([last], count + 1, are_pairs)


def decode_lines(lines: list[bytes], first: int, are_pairs: bool) -> Iterator[list[Text]]:
    """Yield the lines as one list of texts, without a carriage return at the end or a byte order mark in line 1.

    If a line is not UTF-8 or not the pair that it should be, yield the lines before it and then raise InputError.
    first: the number of the first line.
    """
    texts = []
    for number, line in enumerate(lines, first):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\r")
        except UnicodeDecodeError as error:
            yield texts
            place = f"standard input: line {number}"
            raise InputError(f"{place}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None
        if are_pairs and text.count("\t") != 1:
            yield texts
            problem = f"has {text.count(chr(9))} tabs; put one tab between the two texts of a pair"
            raise InputError(f"standard input: line {number}: {problem}")
        texts.append(tuple(text.split("\t")) if are_pairs else text)
    yield texts
