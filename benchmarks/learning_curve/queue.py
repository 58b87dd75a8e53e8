"""Run the experiments of a learning curve in DVC's queue."""

import subprocess
import time

from benchmarks.learning_curve.plan import Run


def run_dvc(*args: str) -> int:
    """Run a DVC command; return its exit status.

    Ctrl-C reaches DVC as well, which then restores this folder first. So this function waits for DVC before it raises
    KeyboardInterrupt.
    """
    process = subprocess.Popen(["dvc", *args])
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise


def execute(runs: list[Run]) -> None:
    """Queue the runs that are not in the queue yet, and wait until everything in the queue has ended."""
    from dvc.repo import Repo

    queue = Repo().experiments.celery_queue
    # An idle worker ends within seconds. If it ended after the runs are queued, it would leave them waiting.
    while (workers := queue.worker_status()) and not any(queue.iter_active()):
        time.sleep(1)
    if not workers and (orphans := [entry.name for entry in queue.iter_active()]):  # their worker was killed
        run_dvc("queue", "kill", *orphans)
    queued = {entry.name for entry in (*queue.iter_active(), *queue.iter_queued())}
    for run in runs:
        if run.name not in queued and run_dvc("exp", "run", "--queue", "--name", run.name, *run.options, "evaluate"):
            raise SystemExit(f"learning-curve: {run.name} could not be queued, see above")
    run_dvc("exp", "run", "--run-all")
