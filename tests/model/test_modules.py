"""What use_fast_modules replaces, and that it may be called again."""

import pytest
from encoders import DECODERS, FAMILIES, peft_defaults, write_encoder
from torch.nn import Linear
from transformers import AutoModelForSequenceClassification

from classifier.files.places import BASE
from classifier.model.adapters import apply_method
from classifier.model.fast.attention import MATMUL_ATTENTION
from classifier.model.fast.linear import HAS_ONEDNN
from classifier.model.fast.modules import use_fast_modules
from classifier.params.catalogue import Method

MPNET = {
    "mpnet.encoder": "FusedMPNetEncoder",
    "mpnet.encoder.layer.0.attention.attn": "FusedMPNetSelfAttention",
    "mpnet.encoder.layer.1.attention": "FirstTokenMPNetAttention",
    "mpnet.encoder.layer.1.attention.attn": "FusedMPNetSelfAttention",
}
REPLACED = {
    "bert": {"bert.encoder.layer.1.attention": "FirstTokenBertAttention"},
    "distilbert": {"distilbert.transformer.layer.1": "FirstTokenDistilBertLayer"},
    "roberta": {"roberta.encoder.layer.1.attention": "FirstTokenBertAttention"},
    "mpnet": MPNET,
    **{family: {} for family in ("modernbert", *DECODERS)},
}
ROUNDED = {
    "bert": "RoundedBertEmbeddings",
    "distilbert": "RoundedDistilBertEmbeddings",
    "roberta": "RoundedRobertaEmbeddings",
    "mpnet": "RoundedMPNetEmbeddings",
}


@pytest.mark.parametrize("bf16_on_cpu", [False, True])
@pytest.mark.parametrize("family", FAMILIES + DECODERS)
def test_what_is_replaced(tmp_path, monkeypatch, family, bf16_on_cpu):
    monkeypatch.chdir(tmp_path)
    write_encoder(family)
    model = AutoModelForSequenceClassification.from_pretrained(BASE)
    products = bf16_on_cpu and family != "mpnet"  # MPNet has no attention of torch's to replace
    attention = {"config._attn_implementation": MATMUL_ATTENTION} if products else {}
    embeddings = {f"{model.base_model_prefix}.embeddings": ROUNDED[family]} if bf16_on_cpu and family in ROUNDED else {}
    linear = {name: "OneDnnLinear" for name, module in model.named_modules() if HAS_ONEDNN and type(module) is Linear}
    assert use_fast_modules(model, bf16_on_cpu) == REPLACED[family] | attention | embeddings | linear
    assert use_fast_modules(model) == {}
    adapted = apply_method(model, [], Method(peft={"peft_type": "LORA"}), peft_defaults(family), 10)
    kinds = [type(module).__name__ for module in adapted.modules()]
    assert kinds.count("FastLinear") == sum("lora_A" in name for name, _ in adapted.named_parameters())
    assert set(REPLACED[family].values()) <= set(kinds)
    assert use_fast_modules(adapted) == {}
