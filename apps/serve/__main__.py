"""`python -m apps.serve`."""

from apps.serve.command import run

run()
