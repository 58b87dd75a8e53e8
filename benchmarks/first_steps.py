"""Run the first steps of the stage `train`, enough of them to show how much memory a training needs.

    python -m benchmarks.first_steps

After these steps all validation texts are scored, as after the last step of a training, and a checkpoint is written. No
adapter is saved.
"""

import itertools

from benchmarks.default_training import default_training
from classifier.model.loading import silence_libraries
from classifier.runner.command import no_arguments
from classifier.runner.environment import restart_with_malloc_settings
from classifier.training.state import pack

STEPS = 200


def main() -> None:
    """Train for STEPS steps, validate, and write a checkpoint."""
    no_arguments("python -m benchmarks.first_steps", "python -m benchmarks.first_steps")
    restart_with_malloc_settings()  # as the stage does
    silence_libraries()
    training = default_training()
    for _ in itertools.islice(training.run(), STEPS):
        pass
    training.validate()
    training.checkpoint.save(*pack(training))


if __name__ == "__main__":
    main()
