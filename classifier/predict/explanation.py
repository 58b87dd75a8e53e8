"""Explain which words of a text decided its label, or speak for or against another label.

The method is layer integrated gradients on the word embeddings (Sundararajan et al. 2017, "Axiomatic Attribution for
Deep Networks"), computed by captum. It follows a straight line from the embeddings of mask tokens to those of the text
and sums up, in steps, how the label's log-odds rise. Each token gets the part of the rise that its own embedding
causes. More steps make the sum more exact and take more time. A decoder has no mask token; its token for unknown words,
end of text or padding takes the place.
"""

from contextlib import contextmanager
from dataclasses import dataclass

from classifier.errors import InputError
from classifier.model.forward import logits
from classifier.model.padding import types_after_of, with_token_types
from classifier.tasks.task import TASKS, Task
from classifier.text.cleaning import is_blank
from classifier.text.pairs import Text, parts
from classifier.text.word_encoding import encode_words

STEPS = (32, 64, 128, 256, 512)  # numbers of steps, tried in this order until the tolerance is reached
MOST_WORK = 2**33  # upper limit of steps times weights outside the embeddings, for one window
TOLERANCE = 0.01  # largest accepted error of the attributions' sum, as a share of the difference
TOKENS_PER_PASS = 2048  # tokens of one forward and backward pass; more need more memory and save no time
MARKED = 5  # the most words in `Explanation.marked`


@dataclass(frozen=True)
class Explanation:
    """A label, and how much each word of one text contributed to the label.

    The attributions add up, nearly, to a difference of log-odds (natural logarithm): the log-odds of the label for the
    text, minus the log-odds of the label for a text of mask tokens. The log-odds compare the label with all other
    labels or, if a text can have several labels, with the absence of the label. If the answers are numbers, the
    difference is that of the two predicted numbers.

    Attributes:
        label: The name of the explained label: the most probable one, or the one that the caller named.
        confidence: The calibrated probability of the label; if the answers are numbers, the predicted number.
        words: The words of the text without markup, in their order.
        attributions: One number for each word, its part of the difference; 0 for a word that the model does not read.
        difference: The difference that the attributions explain.
        gap: By how much the sum of the attributions misses the difference, as a share of the difference.
    """

    label: str
    confidence: float
    words: list[str]
    attributions: list[float]
    difference: float
    gap: float

    @property
    def marked(self) -> list[int]:
        """The positions of at most MARKED words with the largest absolute attributions, the largest first."""
        order = sorted(range(len(self.words)), key=lambda place: -abs(self.attributions[place]))
        return [place for place in order[:MARKED] if self.attributions[place]]

    @property
    def summary(self) -> str:
        """The marked words with their attributions in one decimal, such as "wonderful +1.2, but -0.3"."""
        return ", ".join(f"{self.words[place]} {signed(self.attributions[place], 0.1)}" for place in self.marked)

    @property
    def pieces(self) -> list[tuple[str, str | None]]:
        """All words, each with its attribution, such as "+1.2" or "-0.35", if it is marked, and else with None."""
        shown = {place: signed(self.attributions[place], 1) for place in self.marked}
        return [(word, shown.get(place)) for place, word in enumerate(self.words)]

    @property
    def text(self) -> str:
        """All words, the marked ones with their attributions, such as "a [wonderful +1.2] film"."""
        return " ".join(f"[{word} {attribution}]" if attribution else word for word, attribution in self.pieces)


def signed(number: float, one_decimal_from: float) -> str:
    """Return a number with its sign and one decimal; below a limit, with two significant digits.

    >>> [signed(number, 1) for number in (12.34, 1.2, -0.346, 0.0346)]
    ['+12.3', '+1.2', '-0.35', '+0.035']
    >>> [signed(number, 0.1) for number in (12.34, 1.2, -0.346, 0.0346)]
    ['+12.3', '+1.2', '-0.3', '+0.035']
    """
    return f"{number:+.1f}" if abs(number) >= one_decimal_from else f"{number:+#.2g}"


def explain_label(model, tokenizer, text: Text, name: str | None = None) -> Explanation:
    """Explain a label of one text: the label that the classifier gives to it, or another one.

    A text with several windows gets the mean of its windows' attributions and differences. With two labels, the mean
    of the windows' log-odds is the log-odds of the answer itself.

    Args:
        model: The network, as `load_classifier` returns it in fp32. In bf16 the attributions are inexact. The call sets
            the network's weights to need no gradient.
        tokenizer: The tokenizer, as `load_classifier` returns it.
        text: The text, or the pair of texts, which must not be blank.
        name: The name of the label; None for the most probable one.

    Raises:
        InputError: The text is blank, or the model has no such label.
    """
    import numpy as np

    task, config = TASKS[model.config.task], model.config
    names = list(config.id2label.values())  # label2id of a loaded config is sorted by name
    if name is not None and name not in names:
        known = ", ".join(names[:10])
        raise InputError(f"the model has no label {name!r} to explain; its labels are {known}")
    if any(map(is_blank, parts(text))):
        raise InputError("a blank text has no label and no words that decided it")
    encoded = encode_words(text, tokenizer, **model.config.tokenize)
    windows, words, word_numbers = encoded.windows, encoded.words, encoded.word_numbers
    scores = logits(model.requires_grad_(False), [np.array(ids) for ids in windows]).mean(axis=0)
    label = int(scores.argmax()) if name is None else names.index(name)
    # A decoder's tokenizer has no mask token, and often no token for unknown words.
    ids = (tokenizer.mask_token_id, tokenizer.unk_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    mask_id = next(number for number in ids if number is not None)
    by_word, difference = np.zeros(len(words)), 0.0
    for ids, word_of_token in zip(windows, map(np.array, word_numbers), strict=True):
        in_word = word_of_token >= 0  # special tokens belong to no word
        by_token, window_difference = integrated_gradients(model, task, ids, in_word, mask_id, label)
        by_word += np.bincount(word_of_token[in_word], by_token[in_word], minlength=len(words)) / len(windows)
        difference += window_difference / len(windows)
    gap = abs(by_word.sum() - difference) / (abs(difference) or 1)
    name = names[label]
    columns = task.prediction_columns(scores[None].astype(np.float64), names, config.decision)
    confidence = float(columns.get(f"probability_{name}", columns["predicted"])[0])
    return Explanation(name, confidence, words, by_word.tolist(), difference, float(gap))


def integrated_gradients(model, task: Task, ids: list[int], in_word, mask_id: int, label: int):
    """Return the attribution of each token of one window, and the difference that the attributions explain.

    The number of steps is doubled until the sum of the attributions misses the difference by at most TOLERANCE of it,
    or until `step_counts` allows no more steps.

    Args:
        model: The network.
        task: Its task.
        ids: The token ids of the window.
        in_word: (ids,) bool, the tokens that belong to a word.
        mask_id: The token that replaces these tokens at the start of the straight line. The padding token cannot do so:
            in RoBERTa it changes the positions of the other tokens.
        label: The number of the label.

    Returns:
        ((ids,) float64, float): the attributions, and the label's log-odds for the window minus those for masks.
    """
    import torch
    from captum.attr import LayerIntegratedGradients

    def log_odds(ids):
        inputs = with_token_types({"input_ids": ids, "attention_mask": torch.ones_like(ids)}, types_after_of(model))
        # A decoder reads the last token that is not padding. None of these tokens is padding, even if mask_id is the
        # id of the padding token.
        with without_padding(model.config):
            return task.logit_to_explain(model(**inputs).logits, label)

    ids, in_word = (torch.as_tensor(values, device=model.device)[None] for values in (ids, in_word))
    masked = ids.masked_fill(in_word, mask_id)
    with torch.inference_mode():
        difference = (log_odds(ids) - log_odds(masked)).item()
    method = LayerIntegratedGradients(log_odds, model.get_input_embeddings())
    rows_per_pass = max(1, TOKENS_PER_PASS // ids.shape[1])
    for steps in step_counts(model.num_parameters(exclude_embeddings=True)):
        by_token = method.attribute(ids, masked, n_steps=steps, internal_batch_size=rows_per_pass)
        by_token = by_token.sum(dim=-1)[0].cpu().double().numpy()
        if abs(by_token.sum() - difference) <= TOLERANCE * abs(difference):
            break
    return by_token, difference


@contextmanager
def without_padding(config):
    """Give no token the meaning of padding in a `with` block."""
    padding, config.pad_token_id = config.pad_token_id, -1
    try:
        yield
    finally:
        config.pad_token_id = padding


def step_counts(weights: int) -> list[int]:
    """Return the numbers of steps to try for a network with so many weights outside its embeddings.

    The time of a step grows with the weights, so a larger network gets fewer steps: MOST_WORK allows all of STEPS for
    the default encoder with 6 small layers, and 64 steps for an encoder of BERT's size with 12 layers. The longest time
    for a window is then about the same with both.

    More steps would help such an encoder little. With mpnet, trained on 160 reviews, six windows of 64 tokens had a gap
    of 3 to 85% at 64 steps and of 2 to 354% at 256, so never within TOLERANCE. In four of these windows, the five
    largest attributions belonged to the same tokens at both numbers of steps.

    >>> [step_counts(weights)[-1] for weights in (10_800_000, 43_000_000, 85_600_000)]
    [512, 128, 64]
    """
    return [steps for steps in STEPS if steps == STEPS[0] or steps * weights <= MOST_WORK]
