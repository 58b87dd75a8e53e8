"""data/local/: Git has the .dvc files of what `dvc add` tracks, and ignores all other files of the user."""

import shutil
import subprocess
import time
from pathlib import Path

from commands import dvc, git
from conftest import enter
from local_data import write_csv
from scmrepo.git import Git
from tiny import edit_params, reviews

from classifier.files.places import LOCAL
from classifier.text.duplicates import text_hash

TARGETS = [
    "reviews.csv",
    "corrections.csv",
    "my reviews.csv",
    "größe.csv",
    "[a] #1.csv",
    ".hidden.csv",
    "sub/reviews.csv",
    "sub/de ep/er/reviews.csv",
    "folder",
    "sub/größer [2]",
]
RECORDS = {f"{target}.dvc" for target in [*TARGETS, "imported.csv"]} | {".gitignore", "sub/.gitignore"}


def ignored(paths: list[str]) -> set[str]:
    """Return the paths that Git ignores, after checking that DVC ignores the same."""
    command = ["git", "check-ignore", "-z", "--stdin", "--no-index"]
    output = subprocess.run(command, input="\0".join(paths), capture_output=True, text=True).stdout
    by_git = set(filter(None, output.split("\0")))
    scm = Git(".")
    assert {path for path in paths if scm.is_ignored(path)} == by_git
    # DVC does not enter an ignored folder.
    assert not any(scm.is_ignored(f"{folder}/") for path in paths for folder in Path(path).parents)
    scm.close()
    return by_git


def test_git_and_dvc_ignore_the_same(project):
    names = ["README.md", "corrections.csv", ".gitignore", "a.csv.dvc", "my größe.csv.dvc", "sub/a.csv.dvc"]
    names += ["sub/de ep/a.csv.dvc", "sub/.gitignore", "folder.dvc"]
    raw = ["a.csv", "a", ".a.csv", "my größe.csv", "[a] #1.csv", "dvc", "a.dvc.csv", "sub/a.csv", "sub/de ep/a.csv"]
    raw += ["sub/README.md", "sub/corrections.csv", ".DS_Store"]
    for name in [*names, *raw]:
        (LOCAL / name).parent.mkdir(parents=True, exist_ok=True)
        (LOCAL / name).touch()
    assert ignored([str(LOCAL / name) for name in [*names, *raw]]) == {str(LOCAL / name) for name in raw}


def fill() -> None:
    """Write the files and folders of TARGETS, and two files that nothing tracks."""
    rows = [(text, ["bad", "good"][label]) for text, label in reviews(100)]
    for number, target in enumerate([*TARGETS, "raw.csv", "sub/raw/raw.csv"]):
        path = target if target.endswith(".csv") else f"{target}/a.csv"
        (LOCAL / path).parent.mkdir(parents=True, exist_ok=True)
        write_csv(path, [*rows, (f"its number {number}", "good")], ("text", "label"))
    write_csv("corrections.csv", [(text_hash(rows[3][0]), "drop")], ("hash", "label"))


def tracked_files() -> dict[str, bytes]:
    """Return the contents of the files in data/local/, except the files that nothing tracks."""
    files = sorted(path for path in LOCAL.rglob("*") if path.is_file() and "raw" not in str(path))
    return {str(path.relative_to(LOCAL)): path.read_bytes() for path in files}


def forget() -> None:
    """Remove the files that DVC tracks."""
    for name in [*TARGETS, "imported.csv"]:
        path = LOCAL / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def run_queue(name: str) -> None:
    """Run the queue until the experiment of this name has ended."""
    dvc("queue", "start")
    deadline = time.monotonic() + 300
    while not git("for-each-ref", f"refs/exps/*/*/{name}"):
        assert time.monotonic() < deadline, dvc("queue", "status")
        time.sleep(0.1)


def test_what_dvc_tracks_is_pushed_pulled_experimented_on_and_kept(finished, tmp_path, site, monkeypatch):
    entry = {"source": {"train": "reviews.csv"}, "labels": ["bad", "good"], "corrections": "corrections.csv"}
    edit_params(finished, **{"datasets.mine": entry | {"train": None, "validation": 20, "test": 20}, "dataset": "mine"})
    fill()
    shutil.copyfile(LOCAL / "reviews.csv", tmp_path / "elsewhere.csv")
    dvc("remote", "add", "-d", "team", str(tmp_path / "remote"))
    dvc("add", *(str(LOCAL / target) for target in TARGETS))
    dvc("import-url", str(tmp_path / "elsewhere.csv"), str(LOCAL / "imported.csv"))
    git("add", "-A")
    in_git = set(filter(None, git("ls-files", "-z", str(LOCAL)).split("\0")))
    assert in_git == {str(LOCAL / name) for name in RECORDS | {"README.md"}}
    git("commit", "-qm", "my data")
    expected = tracked_files()

    dvc("gc", "-w", "-f")
    forget()
    dvc("checkout")
    assert tracked_files() == expected
    dvc("push")

    git("clone", "-q", str(finished), str(tmp_path / "colleague" / "project"))
    enter(tmp_path / "colleague" / "project", site, monkeypatch)
    dvc("pull")
    assert tracked_files() == expected
    assert "Ran experiment" in dvc("exp", "run", "--temp", "data")
    dvc("exp", "run", "--queue", "--name", "queued", "-S", "data.seed=5", "data")
    run_queue("queued")
    dvc("gc", "-w", "-f")
    forget()
    dvc("checkout")
    assert tracked_files() == expected
