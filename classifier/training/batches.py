"""The steps of a training, the rows of each step's batch, and the validations between the steps."""

import math
from functools import lru_cache

import numpy as np

from classifier.errors import InputError
from classifier.text.tokens import Tokens
from classifier.training.recipe import Recipe


class Plan:
    """The steps of a training: first the short epoch, if there is one, then the whole epochs.

    Args:
        tokens: All rows to train on.
        recipe: The settings of the training.
        model_epochs: The model's default number of whole epochs.

    Attributes:
        short_epochs: The number of short epochs: 1, or 0 if the recipe has none, if no row is longer than the recipe's
            `short_epoch`, or if the texts are pairs. A short epoch leaves out the middle of a row, where the second
            text of a pair begins.
        epochs: The number of whole epochs.
        steps: The number of optimizer steps in all epochs.
        validation_steps: The steps after which the validation loss is measured. They are evenly spaced, and the last
            step is one of them.

    Raises:
        InputError: The recipe's `batch_size` is larger than the number of rows.
    """

    def __init__(self, tokens: Tokens, recipe: Recipe, model_epochs: int):
        if recipe.batch_size > len(tokens):
            raise InputError(
                f"params.yaml: train.batch_size: {recipe.batch_size} is above the {len(tokens)} texts of train; "
                "lower it"
            )
        self.tokens, self.recipe = tokens, recipe
        self.steps_per_epoch = -(-len(tokens) // recipe.batch_size)
        has_short_epoch = recipe.short_epoch is not None and not tokens.metadata.get("pair")
        self.short_epochs = int(has_short_epoch and tokens.lengths.max() > recipe.short_epoch)
        # One epoch of a few texts is too few steps to learn from. As many as a large one has would overfit them.
        repeats = round(math.sqrt(recipe.enough_steps / self.steps_per_epoch))
        self.epochs = recipe.epochs or max(model_epochs, repeats)
        self.steps = (self.short_epochs + self.epochs) * self.steps_per_epoch
        count = recipe.validations
        self.validation_steps = {max(1, round(self.steps * (number + 1) / count)) for number in range(count)}
        self.cached_epoch = lru_cache(maxsize=1)(self.draw_epoch)  # keeps the batches of one epoch, the current one

    def __str__(self) -> str:
        short = f" after a short one of {self.recipe.short_epoch} tokens per text" * bool(self.short_epochs)
        return f"{len(self.tokens):,} texts, epochs {self.epochs}{short}, {self.steps:,} steps"

    @property
    def tokens_read(self) -> int:
        """The number of tokens that all steps read together, without padding."""
        lengths = self.tokens.lengths
        short = np.minimum(lengths, self.recipe.short_epoch).sum() if self.short_epochs else 0
        return int(short + self.epochs * lengths.sum())

    def texts_per_validation(self, validation_tokens: Tokens) -> int:
        """Return how many validation texts to score at each validation.

        The number is the recipe's `validation_rows`, or the number of all validation texts if that is lower. If all
        validations together would take more than a quarter of the whole time, steps and validations, the number is
        lowered to that limit. It is not lowered if the validations select the weights or the last step. Per token,
        scoring takes about half as long as training. So a quarter of the whole time, which is a third of the time of
        the steps, is enough to score 2/3 as many tokens as the steps read.
        """
        rows = min(self.recipe.validation_rows, len(validation_tokens.labels))
        if self.recipe.selects_on_validation:
            return rows
        tokens = 2 * self.tokens_read / 3 / len(self.validation_steps)
        return min(rows, max(1, validation_tokens.texts_within(tokens)))

    def epochs_after(self, steps: int) -> dict[str, float]:
        """Return the numbers of short epochs and of whole epochs in the first `steps` steps; whole numbers are ints."""
        epochs_done = steps / self.steps_per_epoch
        short_done = min(epochs_done, self.short_epochs)
        both = {"short_epochs": short_done, "epochs": epochs_done - short_done}
        return {name: int(epochs) if epochs == int(epochs) else round(epochs, 4) for name, epochs in both.items()}

    def batch(self, step: int) -> tuple[Tokens, np.ndarray]:
        """Return all rows of the epoch to which a step belongs, and the numbers of the rows in the step's batch.

        With 5 steps per epoch, step 7 has the second batch of the second epoch.

        Args:
            step: The number of the step, from 1.

        Returns:
            (rows, batch). The rows are shortened if the epoch is the short one.
        """
        epoch, number = divmod(step - 1, self.steps_per_epoch)
        rows, batches = self.cached_epoch(epoch)
        return rows, batches[number]

    def draw_epoch(self, epoch: int) -> tuple[Tokens, list[np.ndarray]]:
        """Return all rows of an epoch, counted from 0, and the numbers of the rows in each of its batches."""
        rows = self.tokens.shortened(self.recipe.short_epoch) if epoch < self.short_epochs else self.tokens
        return rows, epoch_batches(rows.lengths, self.recipe.batch_size, self.recipe.seed, epoch)


def epoch_batches(lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Return the row numbers of each batch of an epoch.

    The rows are shuffled and then sorted by length within windows of 32 batches: a batch needs little padding, and its
    rows still change from epoch to epoch. The batches are shuffled too. Within a batch the longest row is first.

    The result depends on the arguments alone, so a resumed run takes exactly the same batches. Torch's samplers draw
    from a random state and can only start at the beginning of an epoch.

    Args:
        lengths: The number of tokens of each row, (rows,).
        batch_size: Rows per batch. The batch that is formed last may have fewer.
        seed: The seed of the training.
        epoch: The number of the epoch, from 0.
    """
    rng = np.random.default_rng((seed, epoch))
    rows = rng.permutation(len(lengths))
    windows = np.arange(len(rows)) // (32 * batch_size)
    rows = rows[np.lexsort((-lengths[rows], windows))]  # by window, then by falling length; the sort is stable
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    return [batches[number] for number in rng.permutation(len(batches))]
