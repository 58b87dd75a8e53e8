"""Characters that would steer a terminal."""

import errno
import json
import unicodedata

import pytest

from classifier.errors import InputError
from classifier.runner.command import exit_on_user_error
from classifier.runner.messages import message_of
from classifier.runner.terminal import escape_controls

BIDI = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


def test_all_control_characters_are_escaped_and_no_other():
    """By the Unicode database: categories Cc, Zl and Zp, and the bidirectional classes of embeddings and isolates."""
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    changed = {character for character in characters if escape_controls(character) != character}
    assert changed == {
        character
        for character in characters
        if unicodedata.category(character) in ("Cc", "Zl", "Zp") or unicodedata.bidirectional(character) in BIDI
    }
    for character in changed:
        assert escape_controls(character).isprintable()
        assert json.loads(f'"{escape_controls(character)}"') == character
    assert escape_controls('für "immer" \\ \U0001f600') == 'für "immer" \\ \U0001f600'


def test_errors_are_escaped():
    error = InputError("a.csv: red \x1b[31m\x9b and \u202e")
    escaped = "a.csv: red \\u001b[31m\\u009b and \\u202e"
    assert message_of(error) == escaped
    with pytest.raises(SystemExit) as ended, exit_on_user_error("infer"):
        raise error
    assert ended.value.code == f"infer: {escaped}"


def test_a_full_disk_in_a_command_says_which_file_and_how_to_fix_it():
    with pytest.raises(SystemExit) as ended, exit_on_user_error("infer"):
        raise OSError(errno.ENOSPC, "", "a/b")
    assert ended.value.code == "infer: a/b: No space left on device; make room"
    with pytest.raises(SystemExit) as ended, exit_on_user_error("infer"):
        raise InputError("a: damaged (os error 28); fix it")
    assert ended.value.code == "infer: a: damaged (os error 28); fix it"
