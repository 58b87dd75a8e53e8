"""Which rows each step of a training takes."""

import numpy as np

from classifier.errors import InputError
from classifier.text.tokens import Tokens
from classifier.training.recipe import Recipe


class Plan:
    """The steps of a training: those of the short epoch, if there is one, and then of the whole ones.

    tokens: all rows to train on; model_epochs: the model's own number of whole epochs. short_epochs: 1, or 0 if the
    recipe has none or no row is longer than its `short_epoch`. Raises InputError if there are fewer rows than a batch
    has.
    """

    def __init__(self, tokens: Tokens, recipe: Recipe, model_epochs: int):
        if recipe.batch_size > len(tokens):
            raise InputError(
                f"params.yaml: train.batch_size: {recipe.batch_size} is above the {len(tokens)} texts of train"
            )
        self.tokens, self.recipe = tokens, recipe
        self.steps_per_epoch = -(-len(tokens) // recipe.batch_size)
        self.short_epochs = int(recipe.short_epoch is not None and tokens.lengths.max() > recipe.short_epoch)
        # One epoch of a few texts is too few steps to learn from.
        self.epochs = recipe.epochs or max(model_epochs, -(-recipe.min_steps // self.steps_per_epoch))
        self.steps = (self.short_epochs + self.epochs) * self.steps_per_epoch
        self.epoch = -1

    def __str__(self) -> str:
        short = f", after {self.short_epochs} on {self.recipe.short_epoch} tokens of each" * bool(self.short_epochs)
        return f"{len(self.tokens):,} texts, epochs {self.epochs}{short}, {self.steps:,} steps"

    @property
    def tokens_read(self) -> int:
        """Of all steps together, without padding."""
        lengths = self.tokens.lengths
        short = np.minimum(lengths, self.recipe.short_epoch).sum() if self.short_epochs else 0
        return int(short + self.epochs * lengths.sum())

    def epochs_of(self, steps: int) -> dict[str, float]:
        """How many epochs so many steps are: short_epochs and then epochs, whole numbers as int."""
        done = steps / self.steps_per_epoch
        short = min(done, self.short_epochs)
        both = {"short_epochs": short, "epochs": done - short}
        return {name: int(epochs) if epochs == int(epochs) else round(epochs, 4) for name, epochs in both.items()}

    def batch(self, step: int) -> tuple[Tokens, np.ndarray]:
        """(all rows as a step's epoch reads them, the numbers of those that the step takes); steps count from 1."""
        epoch, number = divmod(step - 1, self.steps_per_epoch)
        if epoch != self.epoch:
            self.epoch = epoch
            self.rows = self.tokens.shortened(self.recipe.short_epoch) if epoch < self.short_epochs else self.tokens
            self.batches = epoch_batches(self.rows.lengths, self.recipe.batch_size, self.recipe.seed, epoch)
        return self.rows, self.batches[number]


def epoch_batches(lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Row numbers of each batch of an epoch: a function of its arguments alone, so that a resumed run is exact. Torch's
    samplers draw from a random state and start an epoch at its beginning only.

    Rows are shuffled, sorted by length within windows of 32 batches (little padding, still random company), and
    the batches shuffled. Within a batch, longest first.
    """
    rng = np.random.default_rng((seed, epoch))
    rows = rng.permutation(len(lengths))
    window = 32 * batch_size
    rows = np.concatenate(
        [
            part[np.argsort(-lengths[part], kind="stable")]
            for part in (rows[start : start + window] for start in range(0, len(rows), window))
        ]
    )
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    return [batches[number] for number in rng.permutation(len(batches))]
