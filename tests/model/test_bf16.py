"""Scoring in bf16: the classifier of models/adapter with rounded weights, against transformers' own model."""

import numpy as np
import pytest
import torch
from encoders import DECODERS, FAMILIES, SAVED, peft_defaults, write_encoder
from scipy.special import softmax
from tiny import ROOT, reviews
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from classifier.errors import InputError
from classifier.files.places import BASE
from classifier.model import forward, loading
from classifier.model.adapters import apply_method
from classifier.model.build import build_classifier, last_layer
from classifier.model.forward import logits
from classifier.model.loading import load_classifier, silence_libraries
from classifier.model.saving import save_classifier
from classifier.params.catalogue import Method
from classifier.runner.params import load_params
from classifier.tasks import single_label
from classifier.text.encoding import encode
from classifier.training.gradient import Gradient
from classifier.training.optimizer import make_optimizer

METHODS = load_params(ROOT / "params.yaml").methods
LORA = Method(peft={"peft_type": "LORA", "r": 4, "lora_alpha": 8})
ROUNDING = 2**-8  # the largest relative error of a bf16 number, which has 8 bits


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Return a function that trains a family on reviews, saves the classifier, and returns their token ids."""
    monkeypatch.chdir(tmp_path)
    silence_libraries()

    def train(family: str, method: Method = LORA, steps: int = 60, shift: float = 0.0) -> list[np.ndarray]:
        """shift: is added to the bias of the last layer."""
        write_encoder(family)
        rows = reviews(64)
        tokenizer = AutoTokenizer.from_pretrained(BASE)
        ids = [np.array(row) for (row,) in encode([text for text, _ in rows], tokenizer, 40, "head+tail", False)]
        labels = np.array([label for _, label in rows])
        torch.manual_seed(1)
        network = apply_method(*build_classifier(["a", "b"], dropout=0.0), method, peft_defaults(family), steps)
        optimizer = make_optimizer(network, 3e-3, 0.0, None)
        gradient = Gradient(network.train(), single_label, len(ids))
        for _ in range(steps):
            gradient(ids, labels, len(ids))
            optimizer.step()
            optimizer.zero_grad()
        if shift:
            last_layer(network).bias.data += shift
        save_classifier(network, SAVED)
        return ids

    return train


def of_transformers(model):
    """Return transformers' own classifier with eager attention and the weights of a loaded one, in fp32."""
    config, settings = model.config, {"attn_implementation": "eager", "dtype": torch.float32}
    copy = AutoModelForSequenceClassification.from_config(config, **settings)
    copy.load_state_dict(model.state_dict())
    return copy.eval()


def gap(scores: np.ndarray, exact: np.ndarray) -> float:
    """Return the relative error of scores."""
    return np.linalg.norm(scores - exact) / np.linalg.norm(exact)


@pytest.mark.parametrize("family", [*FAMILIES, "qwen3", pytest.param("llama", marks=pytest.mark.scale)])
def test_as_near_to_fp32_as_transformers(train, family):
    """Rounding errors of bf16 add up over two layers to about two of its last bits, here as in transformers."""
    ids = train(family)
    model, _ = load_classifier()
    exact, reference = logits(model, ids), of_transformers(model)
    assert np.ptp(softmax(exact, axis=1)[:, 1]) > 0.8  # the classifier tells the texts apart
    assert gap(logits(reference, ids), exact) < 1e-5  # scoring in fp32 is that of transformers
    theirs, ours = logits(reference.to(torch.bfloat16), ids), logits(load_classifier("bf16")[0], ids)
    assert 0 < gap(ours, exact) < 1.2 * gap(theirs, exact) < 3 * ROUNDING
    assert gap(ours, theirs) < 3 * ROUNDING
    assert (ours.argmax(axis=1) == exact.argmax(axis=1)).all()
    assert np.abs(softmax(ours, axis=1) - softmax(exact, axis=1)).max() < 0.02


def test_numbers_keep_their_digits(train):
    """In bf16 numbers near 1,000 are multiples of 4. The last layer computes them in fp32."""
    ids = train("bert", shift=1000)
    model, _ = load_classifier()
    exact, theirs = logits(model, ids), logits(of_transformers(model).to(torch.bfloat16), ids)
    assert (theirs % 4 == 0).all()
    assert np.abs(theirs - exact).max() > 0.5
    assert 0 < np.abs(logits(load_classifier("bf16")[0], ids) - exact).max() < 0.1


@pytest.mark.parametrize("family", ["modernbert", *DECODERS])
def test_positions_keep_their_digits(train, family):
    train(family, steps=1)
    for name, buffer in load_classifier("bf16")[0].named_buffers():
        assert buffer.dtype != torch.bfloat16, name


@pytest.mark.parametrize(
    ("family", "name"),
    [*(("bert", name) for name in ("prefix", "p-tuning", "prompt", "lily", "full", "head")), ("llama", "prefix")],
)
def test_every_kind_of_method(train, family, name):
    """A learned prompt cannot be merged into the weights, and peft has no merge for LILY.

    The reference is the loaded network, with all weights and buffers in bf16.
    """
    lily = Method(peft={"peft_type": "LILY", "r": 4, "target_modules": peft_defaults(family)["target_modules"]})
    ids = [row[:20] for row in train(family, METHODS.get(name, lily), steps=10)]  # room for the prompt
    model, _ = load_classifier()
    exact, theirs = logits(model, ids), logits(model.to(torch.bfloat16), ids)
    ours = logits(load_classifier("bf16")[0], ids)
    assert 0 < gap(ours, exact) < 1.2 * gap(theirs, exact)
    assert np.abs(softmax(ours, axis=1) - softmax(exact, axis=1)).max() < 0.02
    assert (ours.argmax(axis=1) == exact.argmax(axis=1)).all()


def test_where_bf16_is_used(train, monkeypatch):
    """`auto` takes bf16 where the processor multiplies in it; `meta` stands for a GPU. No attention is by products."""
    train("bert", steps=1)

    def loaded(precision: str, device: str) -> tuple:
        monkeypatch.setattr(loading, "device", lambda: torch.device(device))
        model, _ = load_classifier(precision)
        return model.dtype, last_layer(model).weight.dtype, model.config._attn_implementation

    for has_bf16 in (True, False):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda has_bf16=has_bf16: {"avx512_bf16": has_bf16})
        assert loaded("fp32", "cpu") == (torch.float32, torch.float32, "sdpa")
        assert loaded("bf16", "cpu") == (torch.bfloat16, torch.float32, "sdpa")
        assert loaded("auto", "cpu") == loaded("bf16" if has_bf16 else "fp32", "cpu")
    assert loaded("bf16", "meta") == (torch.bfloat16, torch.float32, "sdpa")


def test_batches_have_few_shapes(train, monkeypatch):
    """Rows are padded to multiples of 16 tokens, but not beyond the longest text that the model can read."""
    ids = [row[:30] for row in train("bert", steps=1)]
    shapes, pad_batch = [], forward.pad_batch
    monkeypatch.setattr(forward, "TOKENS_PER_BATCH", 64)
    monkeypatch.setattr(forward, "TOKENS_PER_BF16_BATCH", 64)

    def noted(*args):
        shapes.append(pad_batch(*args)["input_ids"].shape[1])
        return pad_batch(*args)

    monkeypatch.setattr(forward, "pad_batch", noted)
    lengths = sorted({len(row) for row in ids})
    assert len(lengths) > 10
    model, _ = load_classifier("bf16")
    for limit in (None, 60):
        model.config.tokenize = {} if limit is None else {"max_length": limit}
        shapes.clear()
        logits(model, ids)
        assert set(shapes) == {16, 30 if limit is None else 32}
    shapes.clear()
    model, _ = load_classifier()
    logits(model, ids)
    assert set(shapes) <= set(lengths)
    shapes.clear()
    with torch.autocast("cpu", torch.bfloat16):  # a validation of a training in bf16
        logits(model, ids)
    assert set(shapes) == {16, 30}


def test_batches_in_bf16_have_twice_as_many_tokens(train, monkeypatch):
    """Both batches take the same memory. Autocast to another type than bf16 changes nothing."""
    train("bert", steps=1)
    batches, pad_batch = [], forward.pad_batch
    monkeypatch.setattr(forward, "pad_batch", lambda *args: batches.append(pad_batch(*args)) or batches[-1])
    ids = [np.arange(16)] * 300

    def tokens_per_batch(model) -> int:
        batches.clear()
        logits(model, ids)
        return batches[0]["input_ids"].numel()

    model, _ = load_classifier()
    assert tokens_per_batch(model) == 2048
    for dtype, count in ((torch.bfloat16, 4096), (torch.float16, 2048)):
        with torch.autocast("cpu", dtype):
            assert tokens_per_batch(model) == count
    assert tokens_per_batch(load_classifier("bf16")[0]) == 4096


@pytest.mark.parametrize("precision", ["fp16", "", None, ["bf16"]])
def test_another_precision_is_refused(train, precision):
    train("bert", steps=1)
    with pytest.raises(InputError, match=r"^precision: .*: should be fp32, bf16 or auto$"):
        load_classifier(precision)
