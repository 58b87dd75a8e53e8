"""The training of params.yaml, for benchmarks that take its steps themselves."""

from classifier.runner.params import arguments, load_params
from classifier.text.tokens import open_tokens
from classifier.training.training import Training
from stages.train import train


def default_training() -> Training:
    """Set up the training that the stage `train` would run, without a step taken."""
    settings = arguments(train, load_params())
    return Training(**settings, train_tokens=open_tokens("train"), validation_tokens=open_tokens("validation"))
