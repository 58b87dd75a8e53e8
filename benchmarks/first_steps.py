"""Run the first steps of the stage `train`, enough of them to show how much memory a training needs.

    python -m benchmarks.first_steps

After these steps all validation texts are scored, as after the last step of a training, and a checkpoint is written. No
adapter is saved.
"""

import itertools

from classifier.model.forward import silence_libraries
from classifier.runner.command import no_arguments
from classifier.runner.environment import restart_with_malloc_settings
from classifier.runner.params import arguments, load_params
from classifier.text.tokens import open_tokens
from classifier.training.training import Training
from stages.train import train

STEPS = 200


def main() -> None:
    """Train for STEPS steps, validate, and write a checkpoint."""
    no_arguments("python -m benchmarks.first_steps", "python -m benchmarks.first_steps")
    restart_with_malloc_settings()  # as the stage does
    settings = arguments(train, load_params())
    silence_libraries()
    training = Training(**settings, train_tokens=open_tokens("train"), validation_tokens=open_tokens("validation"))
    for _ in itertools.islice(training.run(), STEPS):
        pass
    training.validate()
    training.save()


if __name__ == "__main__":
    main()
