"""The progress of a training."""

from dataclasses import dataclass, field


@dataclass
class Progress:
    """The step and the curves of a training.

    A checkpoint holds this state as JSON, beside that of the network, the optimizer and the scheduler.

    Args:
        step: The last step that was taken, from 1; 0 before the first.
        losses: The loss of each step since the last row of `training`.
        training: The training curve, in rows of step, loss, learning rate.
        validation: The validation curve, in rows of step, loss, score.
    """

    step: int = 0
    losses: list[float] = field(default_factory=list)
    training: list[list[float]] = field(default_factory=list)
    validation: list[list[float]] = field(default_factory=list)

    @property
    def validations_since_best(self) -> int:
        """The number of validations after the lowest loss. Of several equal losses the first counts."""
        losses = [loss for _, loss, _ in self.validation]
        return len(losses) - 1 - losses.index(min(losses)) if losses else 0

    @property
    def best_step(self) -> int:
        """The step after which the validation loss was lowest."""
        return self.validation[-1 - self.validations_since_best][0]
