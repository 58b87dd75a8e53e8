"""The ONNX graphs, in fp32 and int8, of each family of encoders and of other networks."""

import logging
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from encoders import SAVED, peft_defaults, sequences, small_bert, write_encoder
from onnx import numpy_helper
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    DebertaV2Config,
    GPT2Config,
    MistralConfig,
    ModernBertConfig,
)

from classifier.errors import InputError
from classifier.export.graph import check_size, write_int8, write_onnx
from classifier.model.adapters import apply_method
from classifier.model.build import build_classifier
from classifier.model.loading import load_classifier, silence_libraries
from classifier.model.padding import pad_batch
from classifier.model.saving import save_classifier
from classifier.params.catalogue import Method

FP32, INT8 = Path("model.onnx"), Path("model_int8.onnx")
SIZES = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
SIZES |= {"vocab_size": 50, "num_labels": 3, "pad_token_id": 0}
POSITIONS = SIZES | {"max_position_embeddings": 64}
TWO_LAYERS = {"num_hidden_layers": 2}
MODERNBERT = (
    POSITIONS | TWO_LAYERS | {"global_attn_every_n_layers": 2, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1}
)
# Sliding windows that are shorter and longer than the example of 8 tokens that a graph is traced with; a layer that is
# used twice; attention by relative positions, whose embeddings all layers share; and weights in transposed form.
NETWORKS = {
    "window of 6": ModernBertConfig(**MODERNBERT, sep_token_id=2, local_attention=6),
    "window of 20": ModernBertConfig(**MODERNBERT, sep_token_id=2, local_attention=20),
    "causal window of 6": MistralConfig(**SIZES, num_key_value_heads=1, head_dim=16, sliding_window=6),
    "causal window of 20": MistralConfig(**SIZES, num_key_value_heads=1, head_dim=16, sliding_window=20),
    "shared layers": AlbertConfig(**POSITIONS | TWO_LAYERS, embedding_size=16),
    "relative positions": DebertaV2Config(
        **POSITIONS | TWO_LAYERS, relative_attention=True, position_buckets=8, pos_att_type=["p2c", "c2p"],
        share_att_key=True, norm_rel_ebd="layer_norm", position_biased_input=False, type_vocab_size=0,
    ),
    "transposed weights": GPT2Config(
        n_embd=32, n_layer=1, n_head=2, n_positions=64, vocab_size=50, num_labels=3, pad_token_id=0
    ),
}  # fmt: skip
LONG = ("window of 20", "causal window of 6", "causal window of 20")  # "window of 6" and qwen3 resemble them


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder, the current one."""
    monkeypatch.chdir(tmp_path)
    silence_libraries()


def score(path: Path, batch: dict) -> np.ndarray:
    """Return the logits of a graph, (rows, labels)."""
    inputs = {name: tensor.numpy() for name, tensor in batch.items()}
    return onnxruntime.InferenceSession(path).run(["logits"], inputs)[0]


def check_int8(scores: np.ndarray, expected: np.ndarray) -> None:
    """Check that logits are near those in fp32, and not equal to them."""
    assert 0 < np.linalg.norm(scores - expected) < 0.1 * np.linalg.norm(expected)


@pytest.mark.parametrize(
    "family",
    [
        *("distilbert", "mpnet"),  # test_decoders.py has the graph of qwen3
        *(pytest.param(name, marks=pytest.mark.scale) for name in ("bert", "roberta", "modernbert", "qwen3", "llama")),
    ],
)
def test_each_familys_graph(family):
    """The merged model in transformers and the ONNX graphs score as the adapted model does, padding included."""
    write_encoder(family, layers=2 if family == "modernbert" else 1)  # its second layer reads a window
    model, head = build_classifier(["a", "b", "c"], dropout=0.0)
    model = apply_method(model, head, Method(peft={"peft_type": "LORA", "r": 4}), peft_defaults(family), 10).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:  # a new adapter is zero
                parameter.normal_(std=0.1)
    save_classifier(model, SAVED)
    merged, _ = load_classifier()
    merged.cpu().save_pretrained("export")
    write_onnx(merged, FP32)
    write_int8(FP32, INT8)
    exported = AutoModelForSequenceClassification.from_pretrained("export").eval()
    for lengths in ((3,), (20, 5, 9)):
        batch = pad_batch([np.arange(5, 5 + length) for length in lengths], model.config.pad_token_id or 0)
        with torch.inference_mode():
            expected = model(**batch).logits.numpy()
            np.testing.assert_allclose(exported(**batch).logits.numpy(), expected, atol=1e-4)
        np.testing.assert_allclose(score(FP32, batch), expected, atol=1e-4)
        check_int8(score(INT8, batch), expected)


@pytest.mark.parametrize(
    "config",
    [pytest.param(config, id=name, marks=[pytest.mark.scale] * (name in LONG)) for name, config in NETWORKS.items()],
)
def test_the_graph_of_other_networks(config, capfd, caplog):
    torch.manual_seed(0)
    config.use_cache = False
    model = AutoModelForSequenceClassification.from_config(config).eval()
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2 and "embed" not in name and "wte" not in name:
            parameter.data *= 4  # so that the attention matters
    write_onnx(model, FP32)
    write_int8(FP32, INT8)
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []
    batch = pad_batch([*sequences(8), np.arange(5, 45)], 0)
    with torch.inference_mode():
        expected = model(**batch).logits.numpy()
    np.testing.assert_allclose(score(FP32, batch), expected, atol=1e-4)
    check_int8(score(INT8, batch), expected)


def weights(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays that a graph holds, by name."""
    return {array.name: numpy_helper.to_array(array) for array in onnx.load(path).graph.initializer}


def test_int8_weights_are_the_nearest():
    """Each weight is within half a step of its value in fp32. Those of linear layers use seven bits."""
    write_onnx(small_bert().eval(), FP32)
    write_int8(FP32, INT8)
    fp32, int8 = weights(FP32), weights(INT8)
    fp32 |= {f"{name}_Transposed": array.T for name, array in fp32.items()}
    names = [name.removesuffix("_quantized") for name in int8 if name.endswith("_quantized")]
    embeddings = [name for name in names if "embeddings" in name]
    assert (len(names), len(embeddings)) == (3 + 2 * 6 + 2, 3)  # embeddings, two layers, pooler and head
    for name in names:
        values, scale, zero = (int8[f"{name}_{part}"] for part in ("quantized", "scale", "zero_point"))
        assert (np.abs((values.astype(int) - zero) * scale - fp32[name]) <= 0.501 * scale).all()
        if name in embeddings:
            assert (values.dtype, scale.shape) == (np.uint8, ())
        else:
            assert (values.dtype, scale.shape) == (np.int8, fp32[name].shape[1:])  # a scale for each output channel
            assert np.abs(values.astype(int)).max() == 64
    assert [name for name, array in int8.items() if array.dtype == np.float32 and array.size > 64] == []


def test_a_model_that_is_too_large_for_a_file_of_onnx():
    """Protobuf's limit is 2,147,483,647 bytes."""
    check_size(torch.nn.Embedding(500_000_000, 1, device="meta"))  # weights of 2.0 GB
    with pytest.raises(
        InputError, match=r"the ONNX graph would have 2\.4 GB, and an ONNX file holds 2\.1 GB; take out"
    ):
        check_size(torch.nn.Embedding(600_000_000, 1, device="meta"))
