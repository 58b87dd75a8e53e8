"""How xdist divides the tests among its workers: two hooks of pytest, which conftest.py imports."""

import os

import pytest


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Divide the tests among the workers at the start; an idle worker then takes half of another worker's rest."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


def pytest_collection_modifyitems(items):
    """Put tests that need a finished project first for the first worker, and last for the other workers.

    So the other workers do not wait while the first worker makes the finished project.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    finished = [item for item in items if "finished_once" in item.fixturenames]
    rest = [item for item in items if "finished_once" not in item.fixturenames]
    first = len(items) // workers
    items[:] = finished[:first]
    for number in range(1, workers):
        items += part(rest, number, workers - 1) + part(finished[first:], number, workers - 1)
    items += rest * (workers == 1)


def part(items: list, number: int, count: int) -> list:
    """Return part `number`, counted from 1, of `count` parts of about the same size."""
    return items[len(items) * (number - 1) // count : len(items) * number // count]
