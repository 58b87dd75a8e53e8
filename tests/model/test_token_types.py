"""The token types of pairs of texts, and the forward pass on pairs, beside those of transformers."""

import numpy as np
import pytest
import torch
from encoders import FAMILIES, peft_defaults, write_encoder
from transformers import AutoTokenizer

from classifier.files.places import BASE
from classifier.model.adapters import apply_method
from classifier.model.build import build_classifier
from classifier.model.forward import logits
from classifier.model.loading import silence_libraries
from classifier.model.padding import pad_batch
from classifier.params.catalogue import Method
from classifier.tasks import single_label
from classifier.text.encoding import encode, token_types_after
from classifier.training.gradient import Gradient

PAIRS = [("good film", "bad"), ("the plot was long", "a great scene, and fun"), ("dull", "i loved the actor")]
LABELS = np.array([0, 1, 2])
METHODS = {
    "lora": {"peft_type": "LORA", "r": 4, "lora_alpha": 8},
    "prefix": {"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 4},
    "prompt": {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 4},
    "full": "full",
}


def test_types_by_hand():
    rows = [np.array([101, 5, 102, 6, 7, 102]), np.array([101, 5, 8, 102, 6, 102, 9]), np.array([101, 5, 102])]
    batch = pad_batch(rows, 0, multiple=4, types_after=102)
    assert batch["token_type_ids"].tolist() == [
        [0, 0, 0, 1, 1, 1, 0, 0],
        [0, 0, 0, 0, 1, 1, 1, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]
    assert batch["token_type_ids"].dtype == torch.int64
    assert "token_type_ids" not in pad_batch(rows, 0)


@pytest.fixture(params=FAMILIES)
def family(request, tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    silence_libraries()
    write_encoder(request.param)
    return request.param


@pytest.mark.parametrize("method", METHODS)
def test_training_and_scoring_read_pairs_as_transformers_does(family, method):
    """The reference is the unwrapped network on the outputs of `tokenizer(a, b)`, with the types where it has them."""
    if method in ("prefix", "prompt") and family != "bert":
        pytest.skip("has no token types")
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    torch.manual_seed(1)
    model, head = build_classifier(["a", "b", "c"], dropout=0.0)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            weights.mul_(50 if "token_type" in name else 3)  # so that the types matter in a random network
    model = apply_method(model, list(head), Method(peft=METHODS[method]), peft_defaults(family), steps=10)
    model.config.token_types_after = types_after = token_types_after(model.config, tokenizer)
    assert types_after == (tokenizer.sep_token_id if family == "bert" else None)
    ids = [np.array(window) for (window,) in encode(PAIRS, tokenizer, 60, "head", False)]
    own = tokenizer(*map(list, zip(*PAIRS, strict=True)), padding=True, return_tensors="pt")
    batch = pad_batch(ids, model.config.pad_token_id, types_after=types_after)
    assert {name: values.tolist() for name, values in batch.items()} == {name: own[name].tolist() for name in batch}
    assert ("token_type_ids" in batch) == (family == "bert")
    inputs = {name: own[name] for name in batch}
    with torch.inference_mode():
        expected = model.eval()(**inputs).logits
    np.testing.assert_allclose(logits(model, ids), expected, atol=1e-5)
    if family == "bert":
        with torch.inference_mode():
            without = model(input_ids=own["input_ids"], attention_mask=own["attention_mask"]).logits
        assert (abs(without - expected) > 1e-4).any()
    loss = torch.nn.functional.cross_entropy(expected, torch.from_numpy(LABELS)).item()
    assert Gradient(model, single_label, 2)(ids, LABELS, 3) == pytest.approx(loss, rel=1e-4)
