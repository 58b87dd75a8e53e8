"""Digests cover the code and leave out temporary files, and hashes are those of DVC."""

from pathlib import Path

from commands import dvc
from killing import locked
from ruamel.yaml import YAML

from classifier.files import digests
from classifier.files.digests import dvc_hash, sha256_by_path


def test_what_python_and_editors_write_for_a_moment_is_no_code(tmp_path, monkeypatch):
    code = [tmp_path / name for name in ("one.py", "two.py", "within/three.j2")]
    for path in code:
        path.parent.mkdir(exist_ok=True)
        path.write_text("code")
    expected = sha256_by_path(tmp_path)
    assert list(expected) == [path.as_posix() for path in code]
    for name in ("__pycache__/one.cpython-311.pyc.140245", "within/__pycache__/x", ".ipynb_checkpoints/one.py"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("compiled")
    assert sha256_by_path(tmp_path) == expected
    assert sha256_by_path(tmp_path, tmp_path / "gone.py") == expected
    sha256 = digests.sha256

    def vanishing(path: Path) -> str:
        path.unlink() if path.name == "4913" else None  # the name of vim's test file
        return sha256(path)

    monkeypatch.setattr(digests, "sha256", vanishing)
    (tmp_path / "4913").touch()
    assert sha256_by_path(tmp_path) == expected


def test_hashes_are_those_of_dvc(finished):
    """dvc.lock has them for the outputs of the stages, a .dvc file for a folder with subfolders."""
    outs = [out for stage in locked(finished)["stages"].values() for out in stage["outs"]]
    assert len(outs) > 10
    assert {out["path"]: dvc_hash(Path(out["path"])) for out in outs} == {out["path"]: out["md5"] for out in outs}
    for name in ("a/b.txt", "a/c/d.txt", "a b.txt", "a-b/c.txt", "ä/d.txt", "B.txt"):  # "/" sorts after " " and "-"
        path = Path("data/local/parts", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    dvc("add", "data/local/parts")
    (added,) = YAML(typ="safe").load(Path("data/local/parts.dvc"))["outs"]
    assert dvc_hash(Path("data/local/parts")) == added["md5"]
