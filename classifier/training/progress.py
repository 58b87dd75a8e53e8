"""How far a training is, as a value."""

from dataclasses import dataclass, field


@dataclass
class Progress:
    """What a checkpoint goes on from, beside the network's, the optimizer's and the scheduler's state."""

    step: int = 0
    losses: list[float] = field(default_factory=list)  # of the steps since the last row of `training`
    training: list[list[float]] = field(default_factory=list)  # rows of step, loss, learning rate
    validation: list[list[float]] = field(default_factory=list)  # rows of step, loss, accuracy

    @property
    def since_best(self) -> int:
        """How many validations have come after that of the lowest loss, the first of these if there are several."""
        losses = [loss for _, loss, _ in self.validation]
        return len(losses) - 1 - losses.index(min(losses)) if losses else 0

    @property
    def best_step(self) -> int:
        """After which step the validation loss was lowest."""
        return self.validation[-1 - self.since_best][0]
