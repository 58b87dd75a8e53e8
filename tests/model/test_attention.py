"""Attention in bf16 on a CPU, against torch's own in fp32."""

import json

import pytest
import torch
from encoders import FAMILIES, write_encoder
from peft import PrefixTuningConfig, get_peft_model
from tiny import reviews
from transformers import AutoTokenizer, GPT2Config, GPT2ForSequenceClassification

from classifier.files.places import BASE
from classifier.model.build import classifier
from classifier.model.fast import attention as module
from classifier.model.fast.attention import attention, in_products

SDPA = torch.nn.functional.scaled_dot_product_attention
ROWS, HEADS, TOKENS, SIZE = 5, 2, 11, 8


def given(dtype: torch.dtype = torch.bfloat16, queries: int = TOKENS) -> list[torch.Tensor]:
    """Query, key and value, of numbers that bf16 has."""
    torch.manual_seed(0)
    shapes = [(ROWS, HEADS, number, SIZE) for number in (queries, TOKENS, TOKENS)]
    return [torch.randn(shape).to(torch.bfloat16).to(dtype).requires_grad_() for shape in shapes]


def padding(queries: int) -> torch.Tensor:
    """Rows of 11, 10, 9, 8 and 7 tokens."""
    mask = torch.arange(TOKENS) < torch.arange(TOKENS, TOKENS - ROWS, -1)[:, None]
    return mask[:, None, None].expand(-1, 1, queries, -1)


@pytest.mark.parametrize("rows", [ROWS, 2, 0], ids=["all rows at once", "two", "each alone"])
@pytest.mark.parametrize("queries", [TOKENS, 1])
@pytest.mark.parametrize("masked", [None, "padding", "numbers", "numbers for all rows"])
def test_is_torchs_up_to_rounding(monkeypatch, rows, queries, masked):
    monkeypatch.setattr(module, "AT_ONCE", rows * HEADS * queries * TOKENS)
    mask = padding(queries) if masked == "padding" else None
    if masked and masked.startswith("numbers"):
        torch.manual_seed(1)
        mask = torch.randn(1 if masked.endswith("rows") else ROWS, HEADS, queries, TOKENS).to(torch.bfloat16).float()
    weights = torch.randn(ROWS, HEADS, queries, SIZE)
    exact, rough = given(torch.float32, queries), given(queries=queries)
    expected = SDPA(*exact, attn_mask=mask, scale=0.3)
    (expected * weights).sum().backward()
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", None)  # so it is not what answers
    in_bf16 = mask if mask is None or mask.dtype == torch.bool else mask.to(torch.bfloat16)
    found = attention(*rough, in_bf16, 0.0, 0.3)
    (found * weights).sum().backward()
    assert found.dtype == torch.bfloat16
    for exactly, roughly in [(expected, found), *((a.grad, b.grad) for a, b in zip(exact, rough, strict=True))]:
        gap = (exactly - roughly.float()).norm() / exactly.norm()
        assert 1e-4 < gap < 0.01  # bf16 has 8 bits: 0.4% a number


def test_much_and_fp32_are_torchs_own(monkeypatch):
    mask = padding(TOKENS)
    for dtype, kept in ((torch.float32, 2**26), (torch.bfloat16, ROWS * HEADS * TOKENS**2 - 1)):
        monkeypatch.setattr(module, "KEPT", kept)
        inputs = given(dtype)
        assert torch.equal(attention(*inputs, mask, 0.0, 0.3), SDPA(*inputs, mask, scale=0.3))
    monkeypatch.setattr(module, "KEPT", ROWS * HEADS * TOKENS**2)
    inputs = given()
    assert not torch.equal(attention(*inputs, None, 0.0, 0.3), SDPA(*inputs, scale=0.3))


def test_dropout_is_of_the_weights():
    query, key, _ = given()
    value = torch.eye(TOKENS, dtype=torch.bfloat16).expand(ROWS, HEADS, -1, -1)  # so that the result is the weights
    whole = attention(query, key, value, None, 0.0, 0.3)
    dropped = attention(query, key, value, None, 0.5, 0.3)
    kept = dropped != 0
    assert 0.4 < kept.float().mean() < 0.6
    torch.testing.assert_close(dropped[kept], 2 * whole[kept], rtol=1e-2, atol=0)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "mpnet"])  # see test_mpnet.py
def test_encoders_attend_this_way(tmp_path, monkeypatch, family):
    monkeypatch.chdir(tmp_path)
    write_encoder(family)
    path = BASE / "config.json"  # ModernBERT's windows are then of two tokens to each side
    path.write_text(json.dumps(json.loads(path.read_text()) | {"local_attention": 4}))
    model, _ = classifier(["a", "b", "c"], dropout=0.0)
    texts = [" ".join(text.split()[: 2 + 3 * number]) for number, (text, _) in enumerate(reviews(5))]
    inputs = AutoTokenizer.from_pretrained(BASE)(texts, padding=True, return_tensors="pt", return_token_type_ids=False)

    def logits() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return model(**inputs).logits.float()

    for name, parameter in model.named_parameters():
        if parameter.dim() == 2 and "embeddings" not in name:
            parameter.data *= 5  # so that what is attended to has a say
    exact, torchs = model(**inputs).logits, logits()
    in_products(model)
    assert torch.equal(model(**inputs).logits, exact)  # which calibrates and is no bf16
    calls = []
    monkeypatch.setattr(module, "attention", lambda *args: calls.append(args) or attention(*args))
    found = logits()
    assert len(calls) == (2 if family == "modernbert" else 1)  # the last layer of the others is first_token.py's
    near = 2 * (torchs - exact).norm()
    assert 0 < (found - exact).norm() < near
    monkeypatch.setattr(module, "attention", lambda *args: attention(*args[:3], None, *args[4:]))
    assert (logits() - exact).norm() > near
    model.save_pretrained("saved")
    assert module.NAME not in json.dumps(json.loads((tmp_path / "saved/config.json").read_text()))


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_learned_prefix_has_keys_of_its_own(tmp_path, monkeypatch, family):
    monkeypatch.chdir(tmp_path)
    write_encoder(family)
    model, _ = classifier(["a", "b"], dropout=0.0)
    sizes = {"token_dim": 32, "num_layers": 2, "num_attention_heads": 2, "num_transformer_submodules": 1}
    config = PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=3, **sizes)
    prefixed, ids = get_peft_model(model, config).eval(), torch.randint(5, 9, (3, 7))
    with torch.autocast("cpu", torch.bfloat16):
        expected = prefixed(input_ids=ids).logits
        in_products(model)
        monkeypatch.setattr(module, "attention", None)
        assert torch.equal(prefixed(input_ids=ids).logits, expected)


def test_what_attends_otherwise_stays_as_it_is(monkeypatch):
    config = GPT2Config(n_layer=2, n_head=2, n_embd=16, vocab_size=50, n_positions=32, pad_token_id=0)
    model = GPT2ForSequenceClassification(config).eval()
    ids = torch.randint(1, 50, (3, 9))
    with torch.autocast("cpu", torch.bfloat16):
        expected = model(input_ids=ids).logits
        in_products(model)
        monkeypatch.setattr(module, "attention", None)
        assert torch.equal(model(input_ids=ids).logits, expected)
    eager = GPT2ForSequenceClassification._from_config(config, attn_implementation="eager")
    in_products(eager)
    assert eager.config._attn_implementation == "eager"
