"""Files are replaced as a whole, and links into DVC's cache are kept."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import dvc
from tiny import edit_params

from classifier.files.formats import write_json
from classifier.files.writing import part_of, remove_part, replace_file, replace_folder
from classifier.runner.run import run
from stages.base_model import base_model
from stages.baseline import baseline
from stages.data import data
from stages.evaluate import evaluate
from stages.export import export
from stages.infer import infer
from stages.report import report
from stages.tokenize import tokenize
from stages.train import train


def test_a_folder_is_replaced_once_all_is_in_it(tmp_path):
    folder = tmp_path / "folder"
    for content in ("one", "two"):
        with replace_folder(folder) as new:
            assert list(new.iterdir()) == []
            (new / content).write_text(content)
    assert [path.name for path in folder.iterdir()] == ["two"]
    with pytest.raises(ZeroDivisionError), replace_folder(folder) as new:
        (new / "half").write_text(1 / 0)
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "two"]


def test_a_folder_that_cannot_be_removed_is_replaced(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "mapped").write_text("one")
    monkeypatch.setattr("shutil.rmtree", lambda path, *args, **options: None)  # like a folder in use on NFS
    for name in ("two", "three"):
        with replace_folder(folder) as new:
            (new / name).write_text(name)
        assert [path.name for path in folder.iterdir()] == [name]


def test_a_folder_stays_if_nothing_can_take_its_place(tmp_path, monkeypatch):
    folder, rename = tmp_path / "folder", Path.rename
    write_json(folder / "last", "one")

    def interrupted(path, target):
        if path.suffix == ".part":
            raise KeyboardInterrupt
        rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), replace_folder(folder) as new:
        write_json(new / "next", "two")
    assert [path.name for path in folder.iterdir()] == ["last"]


def test_a_file_is_replaced_once_it_is_whole(tmp_path):
    path = tmp_path / "new/file.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    with pytest.raises(ZeroDivisionError), replace_file(path) as part:
        part.write_text(1 / 0)
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_a_killed_run_moved_aside_is_removed(tmp_path):
    """The next run that replaces the same folder removes it, and nothing else."""
    folder = tmp_path / "folder"
    write_json(folder / "one", 1)
    code = f"""
import os
from pathlib import Path
from classifier.files.writing import replace_folder
rename = Path.rename
Path.rename = lambda path, target: os._exit(9) if path.suffix == ".part" else rename(path, target)
with replace_folder(Path({str(folder)!r})):
    pass
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 9
    (left,) = tmp_path.glob("folder.*.old")
    assert (left / "folder/one").is_file()
    kept = [tmp_path / name for name in ("folder.old", "folder.mybackup.old", "folder.2026.old", "other.abcd1234.old")]
    for path in kept:
        write_json(path / "folder.json", "somebody's")
    with replace_folder(folder) as new:
        write_json(new / "two", 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["folder", *(path.name for path in kept)])
    assert [path.name for path in folder.iterdir()] == ["two"]


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o002])
def test_modes_are_those_of_a_checkout(tmp_path, umask):
    """They do not depend on the library that writes the files, or on what a killed run has left."""
    before = os.umask(umask)
    try:
        (tmp_path / "file.json.part").touch(0o600)
        with replace_file(tmp_path / "file.json") as part:
            part.unlink()
            part.touch(0o600)  # like safetensors
        write_json(tmp_path / "next.json", 1)
        with replace_folder(tmp_path / "folder") as new:
            (new / "within").mkdir(0o700)
            (new / "within" / "file").touch(0o600)
            (new / "file").touch(0o755)
    finally:
        os.umask(before)
    modes = {path.relative_to(tmp_path).as_posix(): path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    for name in ("folder", "folder/within"):
        assert modes.pop(name) == 0o777 & ~umask
    assert modes.keys() == {"file.json", "next.json", "folder/file", "folder/within/file"}
    assert set(modes.values()) == {0o666 & ~umask}


@pytest.mark.parametrize("kind", ["hardlink", "symlink"])
def test_no_stage_run_by_hand_writes_through_a_link_into_the_cache(finished, kind):
    dvc("config", "cache.type", kind)
    dvc("checkout", "--relink")
    for path in Path("metrics").iterdir():  # like DVC, when it takes outputs from its run-cache
        md5 = hashlib.md5(path.read_bytes()).hexdigest()
        if (cached := Path(".dvc/cache/files/md5", md5[:2], md5[2:]).resolve()).is_file():
            path.unlink()
            getattr(path, f"{kind}_to")(cached)
    assert all(is_linked(Path(f"metrics/{name}")) for name in ("data.json", "evaluate.json", "confusion.png"))
    linked = Path("models/adapter/config.json")
    assert is_linked(linked)

    def cache() -> dict[Path, str]:
        files = [path for path in Path(".dvc/cache/files/md5").rglob("*") if path.is_file()]
        return {path: hashlib.md5(path.read_bytes()).hexdigest() for path in files}

    before = cache()
    changes = {"data.seed": 14, "tokenize.max_length": 20, "baseline.c": 1.0, "train.seed": 14, "train.epochs": 1}
    edit_params(finished, **changes)
    for stage in (data, base_model, tokenize, baseline, train, evaluate, infer, export, report):
        run(stage)
    assert cache() == before
    assert not any(is_linked(path) for path in (linked, *Path("metrics").iterdir()))


def is_linked(path: Path) -> bool:
    return path.is_symlink() or path.stat().st_nlink > 1


def test_an_unfinished_output_is_removed(tmp_path):
    """As after a rank that was killed while it wrote. The finished outputs stay."""
    folder, file = tmp_path / "v1.2", tmp_path / "a.parquet"
    for path in (folder, file):
        remove_part(path)  # nothing to remove
        part_of(path).mkdir() if path == folder else part_of(path).touch()
        path.mkdir() if path == folder else path.touch()
    assert {path.name for path in tmp_path.iterdir()} == {"v1.2", "v1.2.part", "a.parquet", "a.parquet.part"}
    remove_part(folder)
    remove_part(file)
    assert {path.name for path in tmp_path.iterdir()} == {"v1.2", "a.parquet"}
