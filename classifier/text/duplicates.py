"""Compute hashes by which duplicates are recognized: texts that differ only in case, white space or Unicode form."""

import hashlib
import unicodedata

from classifier.text.pairs import Text, parts


def normalize(text: str) -> str:
    r"""Return the form of a text that is the same for all duplicates of the text.

    `"A  Film\n"` and `"a film"` are equal, and so are the two ways in which Unicode writes a letter with an accent.
    """
    folded = unicodedata.normalize("NFD", text).casefold()
    return " ".join(unicodedata.normalize("NFC", folded).split())


def digest(text: Text) -> bytes:
    """Return 16 bytes that are equal for duplicates. The chance that they are equal for other texts is negligible.

    Two pairs are duplicates if their first texts and their second texts are.
    """
    normalized = "\n".join(map(normalize, parts(text)))  # a normalized text has no line break
    return hashlib.blake2b(normalized.encode(), digest_size=16).digest()


def text_hash(text: Text) -> str:
    """Return the hash of a text or of a pair: 32 hexadecimal digits, equal for duplicates."""
    return digest(text).hex()
