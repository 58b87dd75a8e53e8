"""The finished parts of a file that is being scored, from which a killed run resumes."""

import glob
import hashlib
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from classifier.errors import InputError
from classifier.files.digests import digest_of
from classifier.files.places import ADAPTER, BASE
from classifier.runner.terminal import escape_controls

# The code and the libraries that shape the contents of a part.
PACKAGES = ("distributed", "model", "predict", "scoring", "tables", "tasks", "text")
CODE = [Path("classifier", name) for name in PACKAGES]
LIBRARIES = ("numpy", "pandas", "peft", "pyarrow", "scipy", "tokenizers", "torch", "transformers")
# The last column of a part: for some rows the digest and the features of the text, as bytes (see model/features.py).
FEATURES = "\0features"
# Approximate limits of a row group of the result. Small groups would make the file's footer large.
GROUP_ROWS, GROUP_BYTES = 2**16, 2**24


@dataclass(frozen=True)
class Parts:
    """The folder of finished parts of one input and one output file.

    A part is a Parquet file with the scored rows of one table of `read_rows`; its name is the number of the table. Its
    last column is FEATURES. The folder lies beside the output. It also holds the key, an empty file whose name is a
    digest of all that shapes the parts: the input, the settings, the model, the libraries and the code. A folder
    without this key is out of date.

    Attributes:
        folder: The folder, which need not exist.
        key: The path of the key in it.
    """

    folder: Path
    key: Path

    @classmethod
    def of(cls, path: Path, out: Path, **settings: Any) -> "Parts":
        """Return the parts of an input `path` for an output `out`, made with these settings; change nothing on disk."""
        name, stat = bytes(path.resolve()), path.stat()
        key_settings = settings | {"size": stat.st_size, "changed": stat.st_mtime_ns}
        key_settings |= {library: metadata.version(library) for library in LIBRARIES}
        folder = out.with_name(f".{out.name}.{hashlib.sha256(name).hexdigest()[:8]}.parts")
        return cls(folder, folder / digest_of(key_settings, [BASE, ADAPTER, *CODE]))

    def begin(self) -> None:
        """Make the folder ready: keep its parts if it has the key, and clear it if it is out of date."""
        if not self.key.is_file():
            if self.folder.exists():
                shutil.rmtree(self.folder)
            self.folder.mkdir()
            self.key.touch()

    def check_begun(self) -> None:
        """Raise InputError unless the folder is ready."""
        if not self.key.is_file():
            raise InputError(f"{self.folder}: missing, or of other inputs or code; start the command again")

    def part(self, number: int) -> Path:
        """Return the path of the part of the table with this number, counted from 0."""
        return self.folder / f"{number:07}.parquet"

    def is_finished(self, number: int) -> bool:
        """Return whether a part exists and can be read. A power failure may have left an empty file."""
        import pyarrow as pa
        from pyarrow.parquet import read_metadata

        with suppress(FileNotFoundError, pa.ArrowInvalid):
            return read_metadata(self.part(number)).num_rows > 0
        return False

    def row_count(self) -> int:
        """Return the number of rows in all parts."""
        from pyarrow.parquet import read_metadata

        return sum(read_metadata(path).num_rows for path in self.folder.glob("*.parquet"))

    def row_groups(self, columns: list[str] | None = None) -> Iterator:
        """Yield the rows of all parts in order, as pyarrow Tables of about GROUP_ROWS rows or GROUP_BYTES.

        columns: The columns to read; None: all of them.
        """
        import pyarrow as pa
        from pyarrow import parquet

        tables = []
        for path in sorted(self.folder.glob("*.parquet"), key=lambda path: int(path.stem)):
            # Without `partitioning`, a "=" in the path makes a column.
            tables.append(parquet.read_table(path, columns=columns, partitioning=None))
            if sum(map(len, tables)) >= GROUP_ROWS or sum(table.nbytes for table in tables) >= GROUP_BYTES:
                yield pa.concat_tables(tables)
                tables.clear()
        if tables:
            yield pa.concat_tables(tables)


def remove_other_parts(out: Path) -> None:
    """Remove the parts that killed runs on other inputs have left for this output, and name them on stderr.

    The caller holds the lock of the output, so no other run needs them.
    """
    removed = []
    for folder in sorted(out.parent.glob(f".{glob.escape(out.name)}.{'[0-9a-f]' * 8}.parts")):  # as Parts.of names them
        with suppress(OSError):  # a folder of another user may stay
            shutil.rmtree(folder)
            removed.append(str(folder))
    if removed:
        message = f"infer: removed {', '.join(removed)}: unfinished parts of other files for {out}"
        print(escape_controls(message), file=sys.stderr)
