"""Which words of a text decided its label, by layer integrated gradients (Sundararajan et al. 2017, "Axiomatic
Attribution for Deep Networks") on the word embeddings, computed by captum.
"""

from dataclasses import dataclass

from classifier.errors import InputError
from classifier.model.forward import logits
from classifier.text.cleaning import blank
from classifier.text.encoding import encode_words

STEPS = (32, 64, 128, 256, 512)  # from masks to the text; as many as the tolerance takes
TOLERANCE = 0.01  # of the gap between the attributions' sum and what they explain
BATCH = 4096  # tokens at a time
MARKED = 5  # words


@dataclass(frozen=True)
class Explanation:
    """Of one text: the label's log-odds against all others, less those of a text of masks, by word.

    words: of the text without markup, in its order. attributions: one for each word, 0 where the model does not read
    it. difference: what they sum to; gap: how far they miss it, as a share of it.
    """

    label: str
    confidence: float
    words: list[str]
    attributions: list[float]
    difference: float
    gap: float

    @property
    def marked(self) -> list[int]:
        """The places of the MARKED words of largest attribution, either way, the largest first."""
        order = sorted(range(len(self.words)), key=lambda place: -abs(self.attributions[place]))
        return [place for place in order[:MARKED] if self.attributions[place]]

    @property
    def summary(self) -> str:
        """The marked words with their attributions: wonderful +1.2, but -0.3."""
        return ", ".join(f"{self.words[place]} {self.attributions[place]:+.1f}" for place in self.marked)

    @property
    def text(self) -> str:
        """The words, with the attributions of the marked ones: a [wonderful +1.2] film."""
        marked = set(self.marked)
        return " ".join(
            f"[{word} {attribution:+.1f}]" if place in marked else word
            for place, (word, attribution) in enumerate(zip(self.words, self.attributions, strict=True))
        )


def explanation(model, tokenizer, text: str) -> Explanation:
    """model, tokenizer: as load_classifier returns them. Raises InputError for a blank text.

    Of a text with several windows the log-odds are the mean of theirs, for two labels those of the answer itself.
    """
    import numpy as np
    from scipy.special import softmax

    if blank(text):
        raise InputError("a blank text has no label and no words that decided it")
    encoded = encode_words(text, tokenizer, **model.config.tokenize)
    windows, words, owners = encoded.windows, encoded.words, encoded.word_numbers
    scores = logits(model.requires_grad_(False), [np.array(ids) for ids in windows]).mean(axis=0)
    probabilities = softmax(scores.astype(np.float64))
    number = int(probabilities.argmax())
    mask = tokenizer.unk_token_id if tokenizer.mask_token_id is None else tokenizer.mask_token_id
    by_word, difference = np.zeros(len(words)), 0.0
    for ids, owner in zip(windows, map(np.array, owners), strict=True):
        by_token, of_window = integrated_gradients(model, ids, owner >= 0, mask, number)
        by_word += np.bincount(owner[owner >= 0], by_token[owner >= 0], minlength=len(words)) / len(windows)
        difference += of_window / len(windows)
    gap = abs(by_word.sum() - difference) / (abs(difference) or 1)
    label = model.config.id2label[number]
    return Explanation(label, float(probabilities.max()), words, by_word.tolist(), difference, float(gap))


def integrated_gradients(model, ids: list[int], owned, mask: int, number: int):
    """(each token's part, (ids,); what they explain) of the label's log-odds less those of a text of masks.

    owned: (ids,) bool, the tokens that belong to a word; mask: which takes their place (padding would have other
    positions in RoBERTa); number: the label's. The parts' sum misses what they explain by TOLERANCE of it at most,
    unless that takes more than the last of STEPS.
    """
    import torch
    from captum.attr import LayerIntegratedGradients

    def log_odds(ids):
        scores = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        others = torch.arange(scores.shape[1], device=scores.device) != number
        return scores[:, number] - scores[:, others].logsumexp(dim=1)

    ids, owned = (torch.as_tensor(each, device=model.device)[None] for each in (ids, owned))
    masked = ids.masked_fill(owned, mask)
    with torch.inference_mode():
        difference = (log_odds(ids) - log_odds(masked)).item()
    method = LayerIntegratedGradients(log_odds, model.get_input_embeddings())
    for steps in STEPS:
        by_token = method.attribute(ids, masked, n_steps=steps, internal_batch_size=max(1, BATCH // ids.shape[1]))
        by_token = by_token.sum(dim=-1)[0].cpu().double().numpy()
        if abs(by_token.sum() - difference) <= TOLERANCE * abs(difference):
            break
    return by_token, difference
