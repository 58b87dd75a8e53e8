"""The long form of tests/pipeline/test_kill.py and tests/pipeline/test_mutations.py: `make soak`.

Kills `dvc repro` at random moments, of a tiny project and of the pipeline itself, the latter in another folder and with
links into DVC's cache, lets it finish, and compares dvc.lock and every output with those of an uninterrupted run; then
mutates inputs. Prints a table in Markdown.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import typer
from conftest import contents, dvc, enter, git
from killing import locked, repro_until
from tiny import ROOT, make_project, site_packages

ALONE = 0.2  # share of the kills that dvc alone gets, and not the stage that it runs
IN_A_ROW = 6  # kills of a run at most, so that each run comes to its end


def result(project: Path) -> tuple[dict, dict[str, str]]:
    """(dvc.lock, digest of every output). Not the mode: a link into the cache is read-only, as the cache is."""
    return locked(project), {name: digest.split()[0] for name, digest in contents(project).items()}


def kill(project: Path, expected: tuple, kills: int, gap: float, rng: random.Random) -> list[int]:
    """[kills, finished runs, how often dvc.lock had to be put back by hand, runs that did not finish, runs with
    differing bytes, tracebacks] of runs in `project`, the current folder, that are killed again and again after up to
    `gap` seconds, then left to finish.
    """
    sent = runs = repaired = lost = differing = tracebacks = 0
    while sent < kills:
        git("clean", "-fdxq", "-e", ".venv", ".")  # a fresh checkout
        git("checkout", "-q", ".")
        for _ in range(min(IN_A_ROW, kills - sent)):
            moment = time.monotonic() + rng.uniform(0, gap)
            hit, log = repro_until(
                lambda moment=moment: time.monotonic() > moment, signal.SIGKILL, group=rng.random() >= ALONE
            )
            sent += hit
            tracebacks += "Traceback" in log
            if not hit:  # the end came first
                break
        while True:
            process = subprocess.run([sys.executable, "-m", "dvc", "repro"], capture_output=True, text=True)
            if process.returncode and "dvc.lock" in process.stderr:  # killed while DVC wrote it: docs/guarantees.md
                repaired += 1
                Path("dvc.lock").unlink()
                if git("ls-files", "dvc.lock"):
                    git("checkout", "-q", "dvc.lock")
            elif process.returncode == 0 or "an earlier run of this stage" not in process.stderr:
                break
            time.sleep(2)
        runs += 1
        tracebacks += "Traceback" in process.stderr
        if process.returncode:
            lost += 1
            print(process.stderr, file=sys.stderr)
        elif result(project) != expected:
            differing += 1
        counts = f"{sent} kills, {runs} runs, {repaired} repaired, {lost} lost, {differing} differing"
        print(counts, file=sys.stderr, flush=True)
    return [sent, runs, repaired, lost, differing, tracebacks]


def soak(kills: int = 50, default_kills: int = 5, mutations: int = 500, seed: int = 0) -> None:
    """--kills of a tiny project, --default-kills of this pipeline as committed, --mutations of each kind."""
    rng, table = random.Random(seed), {}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        if default_kills:
            patch.chdir(ROOT)
            patch.delenv("OMP_NUM_THREADS")  # of the tests; this is to run as `make` does
            subprocess.run(["dvc", "repro", "--quiet"], check=True)  # nothing runs if this folder is up to date
            project = Path(folder) / "default"
            git("clone", "--quiet", str(ROOT), str(project))
            patch.chdir(project)
            (Path(folder) / "config").write_text("[cache]\n    type = hardlink\n")
            patch.setenv("DVC_GLOBAL_CONFIG_DIR", folder)
            table["the default, hard links"] = kill(project, result(ROOT), default_kills, 200, rng)
            assert (project / "models/adapter/config.json").stat().st_nlink > 1
            patch.delenv("DVC_GLOBAL_CONFIG_DIR")
        if kills:
            site, project = site_packages(Path(folder) / "site"), Path(folder) / "tiny"
            make_project(project, site)
            enter(project, site, patch)
            patch.setenv("OMP_NUM_THREADS", "1")
            started = time.monotonic()
            dvc("repro")
            gap = (time.monotonic() - started) / 2
            table["tiny"] = kill(project, result(project), kills, gap, rng)
    print("| pipeline | kills | finished runs | dvc.lock put back | not finished | differing bytes | tracebacks |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, counts in table.items():
        print("|", name, *(f"| {count}" for count in counts), "|")
    failed = any(lost or differing or tracebacks for *_, lost, differing, tracebacks in table.values())
    if mutations:
        environment = os.environ | {"ROUNDS": str(mutations)}
        pytest_run = [sys.executable, "-m", "pytest", "-q", "tests/pipeline/test_mutations.py"]
        failed |= bool(subprocess.run(pytest_run, cwd=ROOT, env=environment).returncode)
    sys.exit(failed)


if __name__ == "__main__":
    typer.run(soak)
