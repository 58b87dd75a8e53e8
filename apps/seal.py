"""Sign the exported model with a key of your own, and verify the signature. Neither command uses the network.

    make seal KEY=private.pem     sign the files of models/export/, dvc.lock and the list of the locked packages
    make verify KEY=public.pem    check that these files are the signed ones

In:  models/export/ and dvc.lock. `sign` also reads requirements.txt and pyproject.toml.
Out: models/export.sig, a Sigstore bundle as the OpenSSF's model_signing writes it, and models/export.sbom.json, the
     locked packages in the format of CycloneDX. Both files are outside models/export/, because DVC would take a new
     file in that folder for a change of the model.

The signature has the name and the SHA-256 of each file. The names are relative to this folder, so the files can move to
another machine together. dvc.lock has the hashes of data, settings and code. If it also has the hash of models/export,
both commands compare the folder with this hash.

Set KEY_PASSPHRASE in the environment if the private key is encrypted.
"""

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Annotated, Any

import typer

from classifier.errors import InputError
from classifier.files.digests import dvc_hash, sha256
from classifier.files.places import EXPORT
from classifier.files.writing import replace_file
from classifier.runner.command import exit_on_user_error
from classifier.runner.versions import pinned_packages

LOCK = Path("dvc.lock")
SIGNATURE = EXPORT.with_suffix(".sig")
SBOM = EXPORT.with_suffix(".sbom.json")
KEYS = {  # how to make a key
    "private": "`openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out private.pem` makes one",
    "public": "`openssl pkey -in private.pem -pubout -out public.pem` makes it from the private key",
}

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def sign(key: Annotated[str, typer.Argument(help="Private key: a PEM file.")] = "") -> None:
    """Write models/export.sbom.json and models/export.sig."""
    with exit_on_user_error("seal"):
        library = import_model_signing()
        passphrase = os.environ.get("KEY_PASSPHRASE", "").encode() or None
        config = with_key(library.signing.Config().use_elliptic_key_signer, "private", key, password=passphrase)
        for path, command in ((EXPORT / "config.json", "make export"), (LOCK, "dvc repro")):
            if not path.is_file():
                raise InputError(f"{path}: not found; `{command}` makes it")
        files = sealed_files()  # before anything is written
        recorded = check_lock()
        with replace_file(SBOM) as part:
            part.write_text(sbom(), encoding="utf-8")
        with replace_file(SIGNATURE) as part:
            config.set_hashing_config(sealed_hashes(library)).sign(Path(), part)
        print(f"seal: {SIGNATURE} signs {len({*files, SBOM})} files; {recorded}")


@app.command()
def verify(key: Annotated[str, typer.Argument(help="Public key: a PEM file.")] = "") -> None:
    """Check that models/export/, dvc.lock and models/export.sbom.json are the files that were signed."""
    with exit_on_user_error("verify"):
        from cryptography.exceptions import InvalidSignature

        library = import_model_signing()
        config = with_key(library.verifying.Config().use_elliptic_key_verifier, "public", key)
        if not SIGNATURE.is_file():
            raise InputError(f"{SIGNATURE}: not found; get it from the signer, or `make seal` makes it")
        try:
            config.set_hashing_config(sealed_hashes(library)).verify(Path(), SIGNATURE)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError, RecursionError, InvalidSignature) as error:
            if str(error).startswith("Signature mismatch: "):  # the signature is valid, but not for these files
                raise InputError(f"{differences()}; get the files of one run and its signature") from None
            problem = f"{SIGNATURE}: damaged, or made with another key than that of {key}"
            raise InputError(f"{problem}; get both from the signer again") from None
        print(f"verify: {EXPORT}, {LOCK} and {SBOM} are as signed; {check_lock()}")


def import_model_signing() -> ModuleType:
    """Return the package model_signing. Raises InputError if it is not installed."""
    try:
        import model_signing
    except ModuleNotFoundError:
        raise InputError("model_signing is not installed; `make seal` and `make verify` install it") from None
    return model_signing


def with_key(use: Callable[..., Any], kind: str, path: str, **options: bytes | None) -> Any:
    """Let `use`, a method of a model_signing configuration, read a key; return the configuration.

    Args:
        use: The method.
        kind: private or public.
        path: The PEM file with the key.
        options: Further arguments of the method.

    Raises:
        InputError: The PEM file is missing, the key has another kind or curve, or the passphrase is wrong.
    """
    from cryptography.exceptions import UnsupportedAlgorithm

    if not Path(path).is_file():
        raise InputError(f"{path or 'KEY'}: no file with a {kind} key; {KEYS[kind]}")
    try:
        return use(**{f"{kind}_key": path}, **options)
    except (AttributeError, TypeError, ValueError, UnsupportedAlgorithm):
        passphrase = ", or KEY_PASSPHRASE in the environment is not its passphrase" * (kind == "private")
        problem = f"{path}: no {kind} key of the curve P-256, P-384 or P-521{passphrase}"
        raise InputError(f"{problem}; {KEYS[kind]}") from None


def sealed_files() -> list[Path]:
    """Return the files of models/export/ and its subfolders, dvc.lock and the SBOM, if these two are there.

    Raises InputError for a link to a folder, a broken link or a special file, which have no bytes to sign.
    """
    below = sorted(path for path in EXPORT.rglob("*") if path.is_symlink() or not path.is_dir())
    files = [*below, *(path for path in (LOCK, SBOM) if path.exists())]
    for path in files:
        if not path.is_file():
            raise InputError(f"{path}: a link to a folder, a broken link or a special file; replace it by a file")
    return files


def sealed_hashes(library: ModuleType) -> SimpleNamespace:
    """Return a configuration of hashing for model_signing that takes the sealed files, not all files of a folder."""
    config = library.hashing.Config().set_allow_symlinks(True).set_ignored_paths(paths=[], ignore_git_paths=False)
    return SimpleNamespace(hash=lambda folder, **_: config.hash(folder, files_to_hash=sealed_files()))


def differences() -> str:
    """Return the names of the first five files that differ from the signed ones, and the number of the others."""
    statement = json.loads(base64.b64decode(json.loads(SIGNATURE.read_text())["dsseEnvelope"]["payload"]))
    signed = {entry["name"]: entry["digest"] for entry in statement["predicate"]["resources"]}
    present = {path.as_posix(): sha256(path) for path in sealed_files()}
    found = [
        f"{name}: {'missing' if name not in present else 'changed' if name in signed else 'not signed'}"
        for name in sorted({*signed, *present})
        if signed.get(name) != present.get(name)
    ]
    return "; ".join(found[:5]) + f" ({len(found) - 5} more)" * (len(found) > 5)


def check_lock() -> str:
    """Compare models/export/ with its hash in dvc.lock.

    Return a clause that says whether dvc.lock has this hash. dvc.lock has no hash if no stage has written the folder.

    Raises InputError if the hashes differ, or if dvc.lock is damaged.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        stages = YAML(typ="safe").load(LOCK)["stages"].values()
        outs = [out for stage in stages for out in stage.get("outs", [])]
        recorded = [out["md5"] for out in outs if out["path"] == EXPORT.as_posix()]
    except (YAMLError, AttributeError, KeyError, TypeError):
        raise InputError(f"{LOCK}: not a lock file of DVC; restore it with `git checkout` or `dvc repro`") from None
    if not recorded:
        return f"{LOCK} has no hash of {EXPORT}"
    if recorded != [dvc_hash(EXPORT)]:
        raise InputError(f"{EXPORT}: not the output that {LOCK} records; `make export` makes it again")
    return f"{LOCK} has the hash of {EXPORT}"


def sbom() -> str:
    """Return the locked packages as a software bill of materials: CycloneDX 1.6 in JSON.

    The bill has no time and no serial number, so that the same lock gives the same bytes. A package that is locked in
    several versions, for different versions of Python, has an entry for each version.
    """
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL

    bom = Bom()
    bom.serial_number = bom.metadata.timestamp = None
    for name, version in pinned_packages():
        address = PackageURL("pypi", name=name, version=version)
        bom.components.add(Component(name=name, version=version, purl=address, bom_ref=str(address)))
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


if __name__ == "__main__":
    app()
