"""`python -m apps.new`."""

from apps.new.command import run

run()
