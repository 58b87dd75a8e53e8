"""The deciding words: compared with an integral computed by hand, and added up from tokens to words without loss."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from commands import infer_command, predict, read, run_stages
from encoders import DECODERS, FAMILIES, SAVED, peft_defaults, write_encoder
from random_classifier import TEXTS, save_random_classifier
from tiny import SPECIAL, edit_params
from transformers import AutoTokenizer

from classifier.errors import InputError
from classifier.evaluation.findings import without_punctuation
from classifier.files.places import ADAPTER, PREDICTIONS
from classifier.model.adapters import apply_method
from classifier.model.build import build_classifier
from classifier.model.loading import load_classifier, silence_libraries
from classifier.model.saving import save_classifier
from classifier.params.catalogue import Method
from classifier.predict.classifier import Classifier
from classifier.predict.explanation import Explanation, explain_label, step_counts
from classifier.text.encoding import encode
from classifier.text.word_encoding import encode_words


def integral(model, ids: list[int], label: int, steps: int = 400) -> np.ndarray:
    """Return the attribution of each token, (ids,), for two labels; the first and the last token are special.

    It is the gradient of the label's log-odds, averaged along the line from the mask's embedding to the token's by the
    midpoint rule, times the difference of the two embeddings.
    """
    embed = model.get_input_embeddings()
    ids = torch.tensor(ids)
    masked = torch.where((torch.arange(len(ids)) % (len(ids) - 1)) == 0, ids, SPECIAL.index("[MASK]"))
    start, end = embed(masked).detach(), embed(ids).detach()
    total = torch.zeros_like(start)
    for step in range(steps):
        point = (start + (step + 0.5) / steps * (end - start)).requires_grad_()
        scores = model(inputs_embeds=point[None]).logits[0]
        total += torch.autograd.grad(scores[label] - scores[1 - label], point)[0] / steps
    return (total * (end - start)).sum(dim=1).numpy()


def test_against_an_integral_by_hand(finished):
    model, tokenizer = load_classifier()
    text = "a great film , not boring and i loved it"
    explanation = explain_label(model, tokenizer, text)
    ((ids,),) = encode([text], tokenizer, **model.config.tokenize)
    expected = integral(model, ids, model.config.label2id[explanation.label])[1:-1]
    assert explanation.words == text.split()
    assert explanation.attributions == pytest.approx(expected.tolist(), abs=0.01 * float(np.abs(expected).max()))


def test_labels_in_another_order_than_by_name(tmp_path, monkeypatch):
    """transformers sorts label2id of config.json by name."""
    monkeypatch.chdir(tmp_path)
    save_random_classifier("single-label")
    config = read(ADAPTER / "config.json")
    config |= {"id2label": {"0": "good", "1": "bad"}, "label2id": {"bad": 1, "good": 0}}
    (ADAPTER / "config.json").write_text(json.dumps(config))
    classifier = Classifier()
    for text in TEXTS[:5]:
        explanation = explain_label(classifier.model, classifier.tokenizer, text)
        label, confidence = classifier(text)
        assert (explanation.label, explanation.confidence) == (label, pytest.approx(confidence, abs=1e-5))
        other = {"good": "bad", "bad": "good"}[label]
        of_other = explain_label(classifier.model, classifier.tokenizer, text, other)
        assert of_other.confidence == pytest.approx(1 - confidence, abs=1e-5)
    with pytest.raises(InputError, match="its labels are good, bad"):
        explain_label(classifier.model, classifier.tokenizer, TEXTS[0], "fine")


def test_the_attributions_sum_to_what_they_explain(finished):
    model, tokenizer = load_classifier()
    table = pd.read_parquet(PREDICTIONS)
    for row in table[:10].itertuples():
        explanation = explain_label(model, tokenizer, row.text)
        assert explanation.label == ["negative", "positive"][row.predicted]
        assert explanation.confidence == pytest.approx(row.confidence, abs=1e-5)
        assert sum(explanation.attributions) == pytest.approx(explanation.difference, rel=0.01)
        assert explanation.gap <= 0.01
        label_log_odds = np.log(explanation.confidence / (1 - explanation.confidence))
        with torch.no_grad():
            ((ids,),) = encode([row.text], tokenizer, **model.config.tokenize)
            masked = torch.full((1, len(ids)), tokenizer.mask_token_id)
            masked[0, 0], masked[0, -1] = tokenizer.cls_token_id, tokenizer.sep_token_id
            scores = model(input_ids=masked).logits[0]
        number = model.config.label2id[explanation.label]
        masks_log_odds = (scores[number] - scores[1 - number]).item()
        assert explanation.difference == pytest.approx(label_log_odds - masks_log_odds, abs=1e-3)


def test_words_and_their_tokens_by_hand(finished):
    tokenizer = AutoTokenizer.from_pretrained("models/base")
    settings = {"windows": 1, "max_length": 24, "truncation": "head+tail", "strip_markup": True}
    encoded = encode_words("a great<br />film, loved  it!", tokenizer, **settings)
    assert encoded.words == ["a", "great", "film,", "loved", "it!"]
    assert tokenizer.convert_ids_to_tokens(encoded.windows[0]) == [
        *("[CLS]", "a", "great", "film", "[UNK]", "loved", "it", "[UNK]", "[SEP]")
    ]
    assert encoded.word_numbers == [[-1, 0, 1, 2, 2, 3, 4, 4, -1]]
    for windows in (1, 3):
        for text in ("good " * 60 + "bad", "i loved it"):
            several = settings | {"windows": windows}
            assert encode_words(text, tokenizer, **several).windows == encode([text], tokenizer, **several)[0]
        assert encode_words("", tokenizer, **several).windows == [[2, 3]]  # [CLS] and [SEP]
    encoded = encode_words(" ".join(["good", "bad"] * 30), tokenizer, **settings)
    assert len(encoded.words) == 60
    assert encoded.word_numbers == [[-1, *range(5), *range(43, 60), -1]]  # a quarter of 22 from the beginning
    encoded = encode_words(" ".join(["good", "bad"] * 30), tokenizer, **settings | {"windows": 8})
    assert encoded.word_numbers == [[-1, *range(22), -1], [-1, *range(38, 60), -1]]  # two fit


def test_words_that_are_not_read_have_no_attribution(finished):
    model, tokenizer = load_classifier()
    text = " ".join(["good"] * 30 + ["bad"] * 30)
    explanation = explain_label(model, tokenizer, text)
    assert set(np.flatnonzero(explanation.attributions)) == {*range(22), *range(38, 60)}
    assert sum(explanation.attributions) == pytest.approx(explanation.difference, rel=0.02)
    ((label, confidence),) = predict([text])
    assert explanation.label == label
    assert explanation.confidence == pytest.approx(confidence, abs=1e-5)
    model.config.tokenize["windows"] = 1
    assert set(np.flatnonzero(explain_label(model, tokenizer, text).attributions)) == {*range(5), *range(43, 60)}
    with pytest.raises(InputError, match="a blank text has no label"):
        explain_label(model, tokenizer, " \n")


def test_marked_words_in_the_text(finished):
    model, tokenizer = load_classifier()
    text = "the film was great and i loved it and the plot was fun"
    explanation = explain_label(model, tokenizer, text)
    sizes = sorted(map(abs, explanation.attributions), reverse=True)
    assert [abs(explanation.attributions[place]) for place in explanation.marked] == sizes[:5]
    row = infer_command("--explain", text, " ").splitlines()
    assert row[1].split(maxsplit=2) == [explanation.label, f"{explanation.confidence:.1%}", explanation.text]
    assert row[1].count("[") == 5
    assert row[2].split() == ["-", "-"]
    marked = [explanation.attributions[place] for place in sorted(explanation.marked)]
    shown = [float(number) for number in re.findall(r" ([+-][\d.]+)\]", explanation.text)]
    assert shown == pytest.approx(marked, rel=0.05)
    largest_first = [explanation.words[place] for place in explanation.marked]
    assert [part.split()[0] for part in explanation.summary.split(", ")] == largest_first
    assert "--explain: give it with texts" in infer_command("--explain", "-", ok=False)
    assert "--explain: give it with texts" in infer_command("--explain", "--file", "a.csv", ok=False)


def test_small_attributions_can_be_told_apart():
    attributions = [12.34, 0.996, -0.346, 0.0, 0.0346, -0.0000123]
    explanation = Explanation("good", 0.5, list("abcdef"), attributions, 0.0, 0.0)
    assert explanation.text == "[a +12.3] [b +1.0] [c -0.35] d [e +0.035] [f -1.2e-05]"
    assert explanation.summary == "a +12.3, b +1.0, c -0.3, e +0.035, f -1.2e-05"
    assert without_punctuation(explanation.summary) == explanation.summary


def test_evaluate_explains_the_most_confident_mistakes(finished):
    edit_params(finished, **{"evaluate.explained": 2})
    table = pd.read_parquet(PREDICTIONS)
    wrong = table[table["label"] != table["predicted"]]
    assert (table["decided_by"] != "").sum() == min(5, len(wrong))
    run_stages("evaluate", "report")
    table = pd.read_parquet(PREDICTIONS)
    mistakes = table[table["label"] != table["predicted"]].nlargest(2, "confidence")
    assert table.index[table["decided_by"] != ""].sort_values().tolist() == sorted(mistakes.index)
    model, tokenizer = load_classifier()
    assert len(mistakes) == 2
    for row in mistakes.itertuples():
        assert row.decided_by == explain_label(model, tokenizer, row.text).summary
        assert row.decided_by in Path("metrics/report.md").read_text()


def test_a_large_network_gets_fewer_steps(finished, monkeypatch):
    """The gap shows what the missing steps cost."""
    most_steps = [step_counts(weights)[-1] for weights in (1_000, 10_800_000, 43_000_000, 85_600_000, 10**12)]
    assert most_steps == [512, 512, 128, 64, 32]
    model, tokenizer = load_classifier()
    text = "a great film , not boring and i loved it"
    precise = explain_label(model, tokenizer, text)
    monkeypatch.setattr("classifier.predict.explanation.MOST_WORK", 0)
    coarse = explain_label(model, tokenizer, text)
    assert precise.gap < 0.01 < coarse.gap == pytest.approx(abs(sum(coarse.attributions) / coarse.difference - 1))


@pytest.mark.parametrize("family", FAMILIES + DECODERS)
def test_each_family(tmp_path, monkeypatch, family):
    """RoBERTa's positions depend on the padding; ModernBERT's tokens include the white space before a word."""
    monkeypatch.chdir(tmp_path)
    silence_libraries()
    write_encoder(family)
    model, head = build_classifier(["a", "b", "c"], dropout=0.0)
    model = apply_method(model, head, Method(peft={"peft_type": "LORA", "r": 4}), peft_defaults(family), 10)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.1)
    settings = {"max_length": 30, "truncation": "head+tail", "windows": 8, "strip_markup": True}
    save_classifier(model, SAVED | {"tokenize": settings})
    model, tokenizer = load_classifier()
    for text in ("a great film\n ", "good<br />", "the plot was fun and " * 12):
        explanation = explain_label(model, tokenizer, text)
        assert explanation.words == text.replace("<br />", " ").split()
        assert sum(explanation.attributions) == pytest.approx(explanation.difference, rel=0.02)


def test_methods_that_learn_a_prompt(finished):
    edit_params(finished, **{"method": "prompt", "methods.prompt.peft.num_virtual_tokens": 4, "train.epochs": 1})
    run_stages("train")
    model, tokenizer = load_classifier()
    explanation = explain_label(model, tokenizer, "a great film , i loved it")
    assert sum(explanation.attributions) == pytest.approx(explanation.difference, rel=0.01)
