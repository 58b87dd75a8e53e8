"""`python -m benchmarks.learning_curve`."""

from benchmarks.learning_curve.command import app

app(prog_name="python -m benchmarks.learning_curve")
