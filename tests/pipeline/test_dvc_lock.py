"""The committed dvc.lock belongs to the committed code and settings."""

import shutil
import subprocess

from dvc.repo import Repo
from tiny import ROOT


def test_dvc_lock_belongs_to_this_code_and_these_params(tmp_path, monkeypatch):
    """A change of stages/, params.yaml or versions.yaml is committed with the dvc.lock and metrics of its rerun. What
    only DVC's cache has, data/ and models/, is absent here, as in a fresh clone.
    """
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site-cache"))
    with Repo() as repo:
        changes = [(name, path, how) for name, parts in repo.status().items() for part in parts
                   for paths in (part.values() if isinstance(part, dict) else [{"dvc.yaml": part}])
                   for path, how in paths.items()]  # fmt: skip
    absent = [change for change in changes if change[2] in ("deleted", "not in cache")]
    assert {path.split("/")[0] for _, path, _ in absent} == {"data", "models"}
    assert [change for change in changes if change not in absent] == []
