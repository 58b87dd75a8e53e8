"""Texts that count as equal: duplicates."""

import hashlib
import unicodedata


def normalize(text: str) -> str:
    r"""Return the form of a text that is the same for all duplicates of the text.

    `"A  Film\n"` and `"a film"` are equal, and so are the two ways in which Unicode writes a letter with an accent.
    """
    folded = unicodedata.normalize("NFD", text).casefold()
    return " ".join(unicodedata.normalize("NFC", folded).split())


def digest(text: str) -> bytes:
    """Return 16 bytes that are equal for duplicates. The chance that they are equal for other texts is negligible."""
    return hashlib.blake2b(normalize(text).encode(), digest_size=16).digest()


def text_hash(text: str) -> str:
    """Return the hash of a text: 32 hexadecimal digits, equal for duplicates."""
    return digest(text).hex()
