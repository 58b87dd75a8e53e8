"""What stage train does, ended after its first steps: as many as show how much memory a training takes.

    python -m benchmarks.first_steps

All validation texts are scored as after the last step, and a checkpoint is written; there is no adapter.
"""

import itertools

from classifier.model.forward import quiet
from classifier.runner.command import no_arguments
from classifier.runner.params import arguments, load_params
from classifier.text.tokens import open_tokens
from classifier.training.training import Training
from stages.train import train

STEPS = 200


def main() -> None:
    no_arguments("python -m benchmarks.first_steps", "python -m benchmarks.first_steps")
    settings = arguments(train, load_params())
    quiet()
    training = Training(**settings, train_tokens=open_tokens("train"), validation_tokens=open_tokens("validation"))
    for _ in itertools.islice(training.run(), STEPS):
        pass
    training.validate()
    training.save()


if __name__ == "__main__":
    main()
