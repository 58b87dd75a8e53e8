"""The signature of `make seal`, and `make verify`, on a small folder in place of the exported model.

The tests marked `scale` need the group `seal`, which `make test-scale` installs.
"""

import base64
import hashlib
import json
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import read
from ruamel.yaml import YAML
from tiny import ROOT
from typer.testing import CliRunner

from apps import seal
from apps.seal import EXPORT, KEYS, LOCK, SBOM, SIGNATURE, app, check_lock, dvc_hash

NAMES = ["README.md", "config.json", "model.onnx", "model.safetensors", "onnx/.hidden", "tokenizer.json"]
SEALED = ["dvc.lock", *(f"models/export/{name}" for name in NAMES), "models/export.sbom.json"]
PAGE = (ROOT / "docs/how-to/seal.md").read_text()
WEIGHTS = EXPORT / "model.safetensors"


def command(*args: str, ok: bool = True) -> str:
    """Run a command of apps/seal.py, check its exit status, and return the one line that it printed."""
    result = CliRunner().invoke(app, args)
    assert result.exit_code == (0 if ok else 1), result
    assert len(result.output.splitlines()) == 1, result.output
    assert "Traceback" not in result.output
    return result.output


def openssl(line: str) -> None:
    """Run a command of openssl."""
    subprocess.run(shlex.split(line), check=True, capture_output=True)


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """The current folder, with a folder in place of the exported model and the lock files."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        path = EXPORT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 50)
    LOCK.write_text("schema: '2.0'\nstages:\n  train:\n    outs:\n    - path: models/adapter\n      md5: 0a.dir\n")
    Path("requirements.txt").write_text("numpy==2.0 \\\n    --hash=sha256:00\n")
    Path("pyproject.toml").write_text('[project]\ndependencies = ["torch==3.0.1"]\n')
    return tmp_path


@pytest.fixture
def keys(place) -> Path:
    """That folder with the keys that the error messages say how to make, and no network."""
    pytest.importorskip("model_signing", reason="make test-scale installs it")
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    for hint in KEYS.values():
        openssl(re.search("`(.*)`", hint)[1])
    return place


@pytest.fixture
def sealed(keys) -> Path:
    """That folder, signed."""
    command("sign", "private.pem")
    return keys


@pytest.mark.scale
def test_another_folder_has_a_valid_signature(keys, monkeypatch):
    """The lines are those of the page. The files can move to another folder. The network is not used."""
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("the network is used"))
    assert f"\n{command('sign', 'private.pem')}" in PAGE
    shutil.copytree(keys, keys / "elsewhere/deep", ignore=shutil.ignore_patterns("private.pem", "*.t*", "elsewhere"))
    monkeypatch.chdir("elsewhere/deep")
    assert f"\n{command('verify', 'public.pem')}" in PAGE


@pytest.mark.scale
def test_signature_against_other_programs(sealed):
    """The signed list against hashlib, the signature against openssl, the bundle against model_signing's command."""
    envelope = read(SIGNATURE)["dsseEnvelope"]
    payload, kind = base64.b64decode(envelope["payload"]), "application/vnd.in-toto+json"
    resources = json.loads(payload)["predicate"]["resources"]
    expected = {name: hashlib.sha256(Path(name).read_bytes()).hexdigest() for name in SEALED}
    assert {entry["name"]: entry["digest"] for entry in resources} == expected
    # DSSE's pre-authentication encoding, https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
    Path("signed").write_bytes(f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload)
    Path("bytes").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    openssl("openssl dgst -sha256 -verify public.pem -signature bytes signed")
    line = re.search(r"^model_signing verify .*", PAGE, re.MULTILINE)[0]
    other = [sys.executable, "-m", *shlex.split(line)]
    assert subprocess.run(other, check=True, capture_output=True).stdout == b"Verification succeeded\n"
    WEIGHTS.write_bytes(b"other")
    assert b"model.safetensors" in subprocess.run(other, capture_output=True).stderr


def change(path: Path) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.scale
@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (lambda: change(WEIGHTS), "models/export/model.safetensors: changed;"),
        (lambda: (EXPORT / "onnx/.hidden").unlink(), "models/export/onnx/.hidden: missing;"),
        (lambda: (EXPORT / "onnx/.more").touch(), "models/export/onnx/.more: not signed;"),
        (
            lambda: WEIGHTS.rename(EXPORT / "model.bin"),
            "models/export/model.bin: not signed; models/export/model.safetensors: missing;",
        ),
        (lambda: LOCK.write_text(f"{LOCK.read_text()}# of another run\n"), "dvc.lock: changed;"),
        (LOCK.unlink, "dvc.lock: missing;"),
        (lambda: change(SBOM), "models/export.sbom.json: changed;"),
        (
            lambda: shutil.rmtree(EXPORT),
            "; ".join(f"models/export/{name}: missing" for name in NAMES[:5]) + " (1 more);",
        ),
        (
            lambda: (EXPORT / "more").symlink_to(".."),
            "models/export/more: a link to a folder, a broken link or a special",
        ),
        (SIGNATURE.unlink, "models/export.sig: not found;"),
        (lambda: change(SIGNATURE), "models/export.sig: damaged, or made with another key than that of public.pem;"),
        (lambda: SIGNATURE.write_text("[" * 100_000), "models/export.sig: damaged,"),
        (lambda: SIGNATURE.write_text('{"dsseEnvelope": {}}'), "models/export.sig: damaged,"),
        (lambda: Path("public.pem").unlink(), "public.pem: no file with a public key; `openssl pkey "),
        (lambda: shutil.copy("private.pem", "public.pem"), "public.pem: no public key of the curve P-256, "),
    ],
)
def test_refused(sealed, tamper: Callable, message: str):
    tamper()
    assert command("verify", "public.pem", ok=False).startswith(f"verify: {message}")


@pytest.mark.scale
def test_another_key_is_refused(sealed):
    """Also if the signature claims to be made with the right one."""
    mine = SIGNATURE.read_text()
    for hint in KEYS.values():
        openssl(re.search("`(.*)`", hint)[1].replace("private.pem", "private2.pem").replace("public", "public2"))
    message = "verify: models/export.sig: damaged, or made with another key than that of"
    assert command("verify", "public2.pem", ok=False).startswith(f"{message} public2.pem;")
    WEIGHTS.write_bytes(b"other")
    command("sign", "private2.pem")
    assert command("verify", "public.pem", ok=False).startswith(f"{message} public.pem;")
    hint = re.search('"hint":"(.*?)"', mine)[0]
    SIGNATURE.write_text(re.sub('"hint":".*?"', hint, SIGNATURE.read_text()))
    assert command("verify", "public.pem", ok=False).startswith(f"{message} public.pem;")


@pytest.mark.scale
def test_damaged_signatures_end_in_one_line(sealed):
    """Cut anywhere, the signature is refused. With a changed bit, it is refused or has the same meaning."""
    whole = SIGNATURE.read_bytes()
    for position in range(0, len(whole), 37):
        SIGNATURE.write_bytes(whole[:position])
        command("verify", "public.pem", ok=False)
        SIGNATURE.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        result = CliRunner().invoke(app, ["verify", "public.pem"])
        assert (result.exit_code, len(result.output.splitlines())) in [(0, 1), (1, 1)], result


@pytest.mark.scale
@pytest.mark.parametrize(
    "how",
    [
        "genpkey -algorithm RSA -quiet -out key.pem",
        "genpkey -algorithm ED25519 -out key.pem",
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1 -out key.pem",
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -aes256 -pass pass:other -out key.pem",
        "pkey -in private.pem -pubout -out key.pem",
        "dgst -sha256 -out key.pem dvc.lock",
    ],
)
def test_keys_of_no_use_change_nothing(sealed, how, monkeypatch):
    openssl(f"openssl {how}")
    before = SIGNATURE.read_bytes()
    for passphrase in ("", "secret"):
        monkeypatch.setenv("KEY_PASSPHRASE", passphrase)
        line = command("sign", "key.pem", ok=False)
        assert line.startswith("seal: key.pem: no private key of the curve P-256, P-384 or P-521, or KEY_PASSPHRASE")
    assert SIGNATURE.read_bytes() == before


@pytest.mark.scale
def test_what_sign_needs(keys):
    """Nothing is written if a key, the model or dvc.lock is missing."""
    assert command("sign", ok=False) == f"seal: KEY: no file with a private key; {KEYS['private']}\n"
    (EXPORT / "config.json").rename("config.json")
    assert "models/export/config.json: not found; `make export`" in command("sign", "private.pem", ok=False)
    Path("config.json").rename(EXPORT / "config.json")
    LOCK.write_text("<<<<<<< mine\n")
    assert "dvc.lock: not a lock file of DVC;" in command("sign", "private.pem", ok=False)
    LOCK.unlink()
    assert "dvc.lock: not found; `dvc repro`" in command("sign", "private.pem", ok=False)
    assert [path.name for path in Path("models").iterdir()] == ["export"]


@pytest.mark.scale
def test_passphrase(keys, monkeypatch):
    line = re.search(r"^openssl .*-aes256.*", PAGE, re.MULTILINE)[0]
    openssl(f"{line} -pass pass:open-sesame")
    openssl("openssl pkey -in private.pem -passin pass:open-sesame -pubout -out public.pem")
    monkeypatch.setenv("KEY_PASSPHRASE", "open-sesame")
    command("sign", "private.pem")
    monkeypatch.delenv("KEY_PASSPHRASE")
    command("verify", "public.pem")


@pytest.mark.scale
def test_links_are_signed_by_their_content(keys):
    """DVC can be configured to link an output into its cache."""
    WEIGHTS.rename("object")
    WEIGHTS.symlink_to(Path("object").resolve())
    command("sign", "private.pem")
    command("verify", "public.pem")
    change(Path("object"))
    assert command("verify", "public.pem", ok=False).startswith("verify: models/export/model.safetensors: changed;")


def record(digest: str) -> None:
    """Write a dvc.lock in which a stage has models/export with this hash."""
    outs = [{"path": EXPORT.as_posix(), "hash": "md5", "md5": digest}]
    YAML().dump({"schema": "2.0", "stages": {"infer": {"cmd": "true"}, "export": {"outs": outs}}}, LOCK)


def test_the_hash_in_dvc_lock(place):
    """Against DVC's format, https://dvc.org/doc/user-guide/project-structure/internal-files, written by hand."""
    assert check_lock() == "dvc.lock has no hash of models/export"
    listed = [{"md5": hashlib.md5((EXPORT / name).read_bytes()).hexdigest(), "relpath": name} for name in sorted(NAMES)]
    record(f"{hashlib.md5(json.dumps(listed).encode()).hexdigest()}.dir")
    assert check_lock() == "dvc.lock has the hash of models/export"
    WEIGHTS.write_bytes(b"other")
    with pytest.raises(seal.InputError, match=r"models/export: not the output that dvc\.lock records; `make"):
        check_lock()


def test_the_hash_is_that_of_dvc(place, monkeypatch):
    """Also if DVC has replaced the files by links into its cache."""
    from dvc.repo import Repo

    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(place / "site-cache"))
    with Repo.init(no_scm=True) as repo, repo.config.edit() as config:
        config["cache"]["type"] = "symlink"
    with Repo() as repo:
        repo.add(EXPORT.as_posix())
    assert WEIGHTS.is_symlink()
    assert dvc_hash(EXPORT) == YAML(typ="safe").load(EXPORT.with_suffix(".dvc"))["outs"][0]["md5"]


@pytest.mark.scale
def test_model_and_dvc_lock_of_two_runs_are_refused(keys, monkeypatch):
    record(dvc_hash(EXPORT))
    assert command("sign", "private.pem").endswith("; dvc.lock has the hash of models/export\n")
    assert command("verify", "public.pem").endswith("; dvc.lock has the hash of models/export\n")
    record("0a.dir")
    refusal = "models/export: not the output that dvc.lock records; `make export` makes it again\n"
    assert command("sign", "private.pem", ok=False) == f"seal: {refusal}"
    with monkeypatch.context() as patch:
        patch.setattr(seal, "check_lock", lambda: "")
        command("sign", "private.pem")
    assert command("verify", "public.pem", ok=False) == f"verify: {refusal}"


@pytest.mark.parametrize("name", ["sign", "verify"])
def test_without_the_library(place, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "model_signing", None)
    assert "model_signing is not installed; `make seal` and `make verify` install it" in command(name, "x", ok=False)
