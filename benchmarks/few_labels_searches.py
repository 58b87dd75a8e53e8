"""The settings that `make few-labels` compares."""

from typing import NamedTuple

DEFAULT = {"as in params.yaml": []}


def layers(first: int) -> str:
    """Return the override that puts LoRA into the layers of mpnet from `first` on, counted from 0."""
    return f"models.mpnet.peft.layers_to_transform={[*range(first, 12)]}"


class Search(NamedTuple):
    """What one search compares.

    Args:
        model: The encoder, as params.yaml names it.
        draws: How often the labels are drawn, at each number of labels.
        settings: For each number of labels, the settings by name. A setting is a list of overrides, as
            `dvc exp run -S` takes them.
    """

    model: str
    draws: int
    settings: dict[int, dict[str, list[str]]]


def epochs(*numbers: int) -> dict[str, list[str]]:
    """Return a setting for each of some numbers of epochs."""
    return {f"epochs {number}": [f"train.epochs={number}"] for number in numbers}


EPOCHS = epochs(1, 2, 4, 8, 16)
RATES = {f"learning rate {rate}": [f"train.learning_rate={rate}"] for rate in ("1.5e-4", "6.0e-4")}
RANKS = {f"rank {rank}": [f"methods.lora.peft.r={rank}"] for rank in (8, 128)}
NO_SHORT_EPOCH = {"no short epoch": ["train.short_epoch=null"]}
TOP_4, ALL_12 = {"LoRA in the top 4 layers": [layers(8)]}, {"LoRA in all 12 layers": [layers(0)]}
SEARCHES = {
    # With 100 labels or more, one and two epochs are far worse than the others.
    "minilm": Search("minilm", 10, {50: DEFAULT | EPOCHS} | dict.fromkeys((100, 200), DEFAULT | epochs(4, 8, 16))),
    "minilm-500": Search("minilm", 2, {500: DEFAULT | EPOCHS, 1000: DEFAULT | epochs(1, 2, 4)}),
    "minilm-2000": Search("minilm", 2, {2000: DEFAULT | epochs(1, 4)}),
    "minilm-6000": Search("minilm", 1, {6000: DEFAULT | epochs(2, 4)}),
    "mpnet": Search("mpnet", 2, {200: DEFAULT | RATES | epochs(2, 8) | TOP_4 | ALL_12 | RANKS | NO_SHORT_EPOCH}),
    "mpnet-2000": Search("mpnet", 2, {2000: DEFAULT | RATES | epochs(2) | TOP_4 | ALL_12 | NO_SHORT_EPOCH}),
    "mpnet-6000": Search("mpnet", 1, {6000: DEFAULT | epochs(2)}),
}
