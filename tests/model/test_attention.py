"""Attention as matrix products, where bf16 on a CPU needs a gradient, against torch's fused attention in fp32."""

import json

import pytest
import torch
from encoders import FAMILIES, write_encoder
from peft import PrefixTuningConfig, get_peft_model
from tiny import reviews
from transformers import AutoTokenizer, GPT2Config, GPT2ForSequenceClassification

from classifier.files.places import BASE
from classifier.model.build import build_classifier
from classifier.model.fast import attention
from classifier.model.fast.attention import attend, use_matmul_attention
from classifier.model.fast.modules import use_fast_modules

FUSED = torch.nn.functional.scaled_dot_product_attention
ROWS, HEADS, TOKENS, HEAD_SIZE = 5, 2, 11, 8


def query_key_value(dtype: torch.dtype = torch.bfloat16, queries: int = TOKENS) -> list[torch.Tensor]:
    """Return query, key and value of numbers that bf16 represents exactly."""
    torch.manual_seed(0)
    shapes = [(ROWS, HEADS, length, HEAD_SIZE) for length in (queries, TOKENS, TOKENS)]
    return [torch.randn(shape).to(torch.bfloat16).to(dtype).requires_grad_() for shape in shapes]


def padding_mask(queries: int) -> torch.Tensor:
    """Return the mask of rows of 11, 10, 9, 8 and 7 tokens."""
    mask = torch.arange(TOKENS) < torch.arange(TOKENS, TOKENS - ROWS, -1)[:, None]
    return mask[:, None, None].expand(-1, 1, queries, -1)


@pytest.mark.parametrize("rows", [ROWS, 2, 0], ids=["all rows at once", "two rows", "one row"])
@pytest.mark.parametrize("queries", [TOKENS, 1])
@pytest.mark.parametrize("masked", [None, "padding", "numbers", "numbers for all rows"])
def test_products_equal_fused_attention_up_to_rounding(monkeypatch, rows, queries, masked):
    monkeypatch.setattr(attention, "SCORES_PER_PRODUCT", rows * HEADS * queries * TOKENS)
    mask = padding_mask(queries) if masked == "padding" else None
    if masked and masked.startswith("numbers"):
        torch.manual_seed(1)
        mask = torch.randn(1 if masked.endswith("rows") else ROWS, HEADS, queries, TOKENS).to(torch.bfloat16).float()
    weights = torch.randn(ROWS, HEADS, queries, HEAD_SIZE)
    fp32, bf16 = query_key_value(torch.float32, queries), query_key_value(queries=queries)
    expected = FUSED(*fp32, attn_mask=mask, scale=0.3)
    (expected * weights).sum().backward()
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", None)  # a fallback would fail
    bf16_mask = mask if mask is None or mask.dtype == torch.bool else mask.to(torch.bfloat16)
    attended = attend(*bf16, bf16_mask, 0.0, 0.3)
    (attended * weights).sum().backward()
    assert attended.dtype == torch.bfloat16
    pairs = [(expected, attended), *((exact.grad, rounded.grad) for exact, rounded in zip(fp32, bf16, strict=True))]
    for exact, rounded in pairs:
        gap = (exact - rounded.float()).norm() / exact.norm()
        assert 1e-4 < gap < 0.01  # a bf16 number has 8 bits: an error of 0.4%


def test_fp32_too_many_scores_and_no_gradient_fall_back_to_fused_attention(monkeypatch):
    mask = padding_mask(TOKENS)
    for dtype, max_scores in ((torch.float32, 2**26), (torch.bfloat16, ROWS * HEADS * TOKENS**2 - 1)):
        monkeypatch.setattr(attention, "MAX_SCORES", max_scores)
        inputs = query_key_value(dtype)
        assert torch.equal(attend(*inputs, mask, 0.0, 0.3), FUSED(*inputs, mask, scale=0.3))
    monkeypatch.setattr(attention, "MAX_SCORES", ROWS * HEADS * TOKENS**2)
    inputs = query_key_value()
    assert not torch.equal(attend(*inputs, None, 0.0, 0.3), FUSED(*inputs, scale=0.3))
    with torch.no_grad():
        assert torch.equal(attend(*inputs, None, 0.0, 0.3), FUSED(*inputs, scale=0.3))
    frozen = [tensor.detach() for tensor in inputs]
    assert torch.equal(attend(*frozen, None, 0.0, 0.3), FUSED(*frozen, scale=0.3))


def test_dropout_drops_attention_weights():
    query, key, _ = query_key_value()
    value = torch.eye(TOKENS, dtype=torch.bfloat16).expand(ROWS, HEADS, -1, -1)  # the result is then the weights
    whole = attend(query, key, value, None, 0.0, 0.3)
    dropped = attend(query, key, value, None, 0.5, 0.3)
    kept = dropped != 0
    assert 0.4 < kept.float().mean() < 0.6
    torch.testing.assert_close(dropped[kept], 2 * whole[kept], rtol=1e-2, atol=0)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "mpnet"])  # see test_mpnet.py
def test_encoders_use_products_in_bf16(tmp_path, monkeypatch, family):
    monkeypatch.chdir(tmp_path)
    write_encoder(family)
    path = BASE / "config.json"  # ModernBERT's local attention then sees two tokens to each side
    path.write_text(json.dumps(json.loads(path.read_text()) | {"local_attention": 4}))
    model, _ = build_classifier(["a", "b", "c"], dropout=0.0)
    texts = [" ".join(text.split()[: 2 + 3 * number]) for number, (text, _) in enumerate(reviews(5))]
    inputs = AutoTokenizer.from_pretrained(BASE)(texts, padding=True, return_tensors="pt", return_token_type_ids=False)

    def bf16_logits() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return model(**inputs).logits.float()

    for name, parameter in model.named_parameters():
        if parameter.dim() == 2 and "embeddings" not in name:
            parameter.data *= 5  # with small weights attention hardly changes the logits
    fp32, fused = model(**inputs).logits, bf16_logits()
    assert use_matmul_attention(model)
    assert torch.equal(model(**inputs).logits, fp32)  # the calibration runs in fp32, without autocast
    calls = []
    monkeypatch.setattr(attention, "attend", lambda *args: calls.append(args) or attend(*args))
    products = bf16_logits()
    assert len(calls) == 2  # one for each layer
    near = 2 * (fused - fp32).norm()
    assert 0 < (products - fp32).norm() < near
    monkeypatch.setattr(attention, "attend", lambda *args: attend(*args[:3], None, *args[4:]))
    assert (bf16_logits() - fp32).norm() > near  # without the mask
    model.save_pretrained("saved")
    assert attention.MATMUL_ATTENTION not in json.dumps(json.loads((tmp_path / "saved/config.json").read_text()))


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_learned_prefix_falls_back_to_transformers(tmp_path, monkeypatch, family):
    """The prefix adds keys and values that have no queries."""
    monkeypatch.chdir(tmp_path)
    write_encoder(family)
    model, _ = build_classifier(["a", "b"], dropout=0.0)
    sizes = {"token_dim": 32, "num_layers": 2, "num_attention_heads": 2, "num_transformer_submodules": 1}
    config = PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=3, **sizes)
    prefixed, ids = get_peft_model(model, config).eval(), torch.randint(5, 9, (3, 7))
    with torch.autocast("cpu", torch.bfloat16):
        expected = prefixed(input_ids=ids).logits
        assert use_matmul_attention(model)
        monkeypatch.setattr(attention, "attend", None)
        assert torch.equal(prefixed(input_ids=ids).logits, expected)


def test_causal_and_eager_attention_stay_as_they_are(monkeypatch):
    config = GPT2Config(n_layer=2, n_head=2, n_embd=16, vocab_size=50, n_positions=32, pad_token_id=0)
    model = GPT2ForSequenceClassification(config).eval()
    ids = torch.randint(1, 50, (3, 9))
    with torch.autocast("cpu", torch.bfloat16):
        expected = model(input_ids=ids).logits
        use_fast_modules(model, bf16_on_cpu=True)
        monkeypatch.setattr(attention, "attend", None)
        assert torch.equal(model(input_ids=ids).logits, expected)
    eager = GPT2ForSequenceClassification._from_config(config, attn_implementation="eager")
    assert {*use_fast_modules(eager, bf16_on_cpu=True).values()} <= {"OneDnnLinear"}
    assert eager.config._attn_implementation == "eager"
