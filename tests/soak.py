"""The long form of tests/test_kill.py and tests/test_mutations.py: `make soak`.

Kills `dvc repro` of the tiny project at random moments of the whole pipeline, lets it finish, and compares dvc.lock and
every output with those of an uninterrupted run; then mutates inputs. Prints a table in Markdown.
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
from conftest import ROOT, dvc, enter, make_project, site_packages
from test_kill import locked, repro_until
from test_params import contents


def soak(kills: int = 50, mutations: int = 500, seed: int = 0, alone: float = 0.2) -> None:
    """--kills of the process group at random moments (a share --alone of dvc alone); --mutations of inputs."""
    rng = random.Random(seed)
    sent = traceback = lost = differing = runs = 0
    words = set()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        site = site_packages(Path(folder) / "site")
        project = Path(folder) / "project"
        make_project(project, site)
        enter(project, site, patch)
        started = time.monotonic()
        dvc("repro")
        duration = time.monotonic() - started
        expected = locked(project), contents(project)
        while sent < kills:
            forget(project)
            for _ in range(rng.randint(1, 6)):
                started = time.monotonic()
                moment = started + rng.uniform(0, duration)
                hit, log = repro_until(
                    lambda moment=moment: time.monotonic() > moment, signal.SIGKILL, group=rng.random() >= alone
                )
                sent += hit
                traceback += "Traceback" in log
                words |= {line for line in log.splitlines() if line.startswith("ERROR")}
                if not hit:  # the end came first
                    duration = time.monotonic() - started
                    break
            for _ in range(30):
                process = subprocess.run([sys.executable, "-m", "dvc", "repro"], capture_output=True, text=True)
                if process.returncode == 0 or "an earlier run of this stage" not in process.stderr:
                    break
                time.sleep(2)
            runs += 1
            words |= {line for line in process.stderr.splitlines() if line.startswith("ERROR")}
            traceback += "Traceback" in process.stderr
            if process.returncode:
                lost += 1
                print(process.stderr, file=sys.stderr)
                (project / ".dvc/tmp/rwlock").unlink(missing_ok=True)
                Path("dvc.lock").unlink(missing_ok=True)
            elif (locked(project), contents(project)) != expected:
                differing += 1
            print(f"{sent} kills, {runs} runs, {lost} lost, {differing} differing", file=sys.stderr, flush=True)
    print("| kills | finished runs | runs that did not finish | runs with differing bytes | tracebacks |")
    print("|---|---|---|---|---|")
    print(f"| {sent} | {runs} | {lost} | {differing} | {traceback} |")
    print(*sorted(words), sep="\n", file=sys.stderr)
    if mutations:
        environment = os.environ | {"ROUNDS": str(-(-mutations // 3))}
        subprocess.run([sys.executable, "-m", "pytest", "-q", "tests/test_mutations.py"], cwd=ROOT, env=environment)
    sys.exit(bool(lost or differing or traceback))


def forget(project: Path) -> None:
    """A fresh checkout: no outputs, no dvc.lock, no cache."""
    subprocess.run(["git", "clean", "-fdxq", "."], cwd=project, check=True)


if __name__ == "__main__":
    typer.run(soak)
