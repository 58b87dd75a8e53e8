"""The long form of tests/pipeline/test_kill.py and of the tests of mutated files (tests/mutations.py): `make soak`.

`dvc repro` is killed at random moments and then left to finish. dvc.lock and every output are compared with those of an
uninterrupted run. This is done with a tiny project, and with the pipeline itself in another folder, with hard links
into DVC's cache. Then inputs are mutated. A Markdown table is printed.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest
import typer
from commands import contents, dvc, git
from conftest import enter
from killing import locked, repro_until
from tiny import ROOT, make_project, site_packages

DVC_ALONE = 0.2  # share of the kills that hit DVC alone, and not the stage that it runs
KILLS_OF_A_RUN = 6  # at most, so that each run comes to its end
# The columns of the table: kills, runs that were left to finish, times that dvc.lock had to be restored by hand, runs
# that did not finish, runs whose outputs differ from those of an uninterrupted run, and runs that printed a traceback.
COLUMNS = ("kills", "finished runs", "dvc.lock put back", "not finished", "differing bytes", "tracebacks")

# The tests that take the number of their examples from ROUNDS.
MUTATIONS = ("tests/runner/test_mutated_params.py", "tests/dataset/test_mutated_files.py")


def result(project: Path) -> tuple[dict, dict[str, str]]:
    """Return (dvc.lock, digest of every output).

    The modes of the outputs are left out: a link into DVC's cache is read-only, as the cache is.
    """
    return locked(project), {name: digest.split()[0] for name, digest in contents(project).items()}


def kill_some(counts: Counter, kills: int, gap: float, rng: random.Random) -> None:
    """Start and kill `dvc repro` up to `kills` times, each time after up to `gap` seconds."""
    for _ in range(kills):
        moment = time.monotonic() + rng.uniform(0, gap)
        killed, log = repro_until(
            lambda moment=moment: time.monotonic() > moment, signal.SIGKILL, group=rng.random() >= DVC_ALONE
        )
        counts["kills"] += killed
        counts["tracebacks"] += "Traceback" in log
        if not killed:  # the run ended before the moment came
            return


def finish(counts: Counter) -> subprocess.CompletedProcess:
    """Run `dvc repro` to its end; wait for a stage that a killed DVC has left running, and repair dvc.lock."""
    while True:
        process = subprocess.run([sys.executable, "-m", "dvc", "repro"], capture_output=True, text=True)
        if process.returncode and "dvc.lock" in process.stderr:  # DVC was killed while it wrote dvc.lock
            counts["dvc.lock put back"] += 1
            Path("dvc.lock").unlink()
            if git("ls-files", "dvc.lock"):
                git("checkout", "-q", "dvc.lock")
        elif process.returncode == 0 or "an earlier run of this stage" not in process.stderr:
            return process
        time.sleep(2)


def kill_runs(project: Path, expected: tuple, kills: int, gap: float, rng: random.Random) -> Counter:
    """Kill runs of `project`, the current folder, and let them finish, until there were enough kills.

    Args:
        project: the project.
        expected: result() of an uninterrupted run.
        kills: number of kills.
        gap: most seconds from the start of `dvc repro` to a kill.
        rng: source of the moments.
    """
    counts = Counter(dict.fromkeys(COLUMNS, 0))
    while counts["kills"] < kills:
        git("clean", "-fdxq", "-e", ".venv", ".")  # a fresh checkout
        git("checkout", "-q", ".")
        kill_some(counts, min(KILLS_OF_A_RUN, kills - counts["kills"]), gap, rng)
        process = finish(counts)
        counts["finished runs"] += 1
        counts["tracebacks"] += "Traceback" in process.stderr
        if process.returncode:
            counts["not finished"] += 1
            print(process.stderr, file=sys.stderr)
        elif result(project) != expected:
            counts["differing bytes"] += 1
        print(dict(counts), file=sys.stderr, flush=True)
    return counts


def kill_the_default(folder: Path, patch: pytest.MonkeyPatch, kills: int, rng: random.Random) -> Counter:
    """Kill runs of a clone of this repository, whose outputs are hard links into DVC's cache."""
    patch.chdir(ROOT)
    patch.delenv("OMP_NUM_THREADS")  # the tests' setting; here the stages run as under `make`
    subprocess.run(["dvc", "repro", "--quiet"], check=True)  # runs nothing if this folder is up to date
    project = folder / "default"
    git("clone", "--quiet", str(ROOT), str(project))
    patch.chdir(project)
    (folder / "config").write_text("[cache]\n    type = hardlink\n")
    patch.setenv("DVC_GLOBAL_CONFIG_DIR", str(folder))
    counts = kill_runs(project, result(ROOT), kills, 200, rng)
    assert (project / "models/adapter/config.json").stat().st_nlink > 1
    patch.delenv("DVC_GLOBAL_CONFIG_DIR")
    return counts


def kill_a_tiny_project(folder: Path, patch: pytest.MonkeyPatch, kills: int, rng: random.Random) -> Counter:
    """Kill runs of a tiny project."""
    site, project = site_packages(folder / "site"), folder / "tiny"
    make_project(project, site)
    enter(project, site, patch)
    patch.setenv("OMP_NUM_THREADS", "1")
    started = time.monotonic()
    dvc("repro")
    return kill_runs(project, result(project), kills, (time.monotonic() - started) / 2, rng)


def soak(kills: int = 50, default_kills: int = 5, mutations: int = 500, seed: int = 0) -> None:
    """Kill a tiny project --kills times and this pipeline --default-kills times; make --mutations of each kind."""
    rng, table = random.Random(seed), {}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        if default_kills:
            table["the default, hard links"] = kill_the_default(Path(folder), patch, default_kills, rng)
        if kills:
            table["tiny"] = kill_a_tiny_project(Path(folder), patch, kills, rng)
    print("|", " | ".join(("pipeline", *COLUMNS)), "|\n|---|" + "---:|" * len(COLUMNS))
    for name, counts in table.items():
        print("|", " | ".join(map(str, (name, *counts.values()))), "|")
    failed = any(counts[name] for counts in table.values() for name in COLUMNS[3:])
    if mutations:
        environment = os.environ | {"ROUNDS": str(mutations)}
        pytest_run = [sys.executable, "-m", "pytest", "-q", *MUTATIONS]
        failed |= bool(subprocess.run(pytest_run, cwd=ROOT, env=environment).returncode)
    sys.exit(failed)


if __name__ == "__main__":
    typer.run(soak)
