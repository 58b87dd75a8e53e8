"""Decoders as classifiers: the padding token, batches with padding, causal attention, the cache, and a whole run."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import predict, read, run_stages
from encoders import DECODERS, SAVED, peft_defaults, write_encoder
from tiny import ROOT, edit_params, reviews
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, GemmaConfig

from classifier.errors import InputError
from classifier.files.digests import digest_of
from classifier.files.places import ADAPTER, BASE, EXPORT
from classifier.model.adapters import apply_method
from classifier.model.build import build_classifier
from classifier.model.fast import attention
from classifier.model.fast.first_token import first_token_classes
from classifier.model.forward import logits, logits_and_features
from classifier.model.length import check_length
from classifier.model.loading import load_classifier, silence_libraries
from classifier.model.padding import pad_batch
from classifier.model.saving import save_classifier
from classifier.params.catalogue import Method
from classifier.runner.params import load_params
from classifier.text.encoding import count_special_tokens, encode
from classifier.text.word_encoding import encode_words
from classifier.training.graphs import can_capture

TEXTS = [" ".join(text.split()[: 2 + 3 * number]) for number, (text, _) in enumerate(reviews(5))]
METHODS = load_params(ROOT / "params.yaml").methods
LORA = Method(peft={"peft_type": "LORA", "r": 4, "layers_to_transform": [1]})


@pytest.fixture(params=DECODERS)
def family(request, tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    silence_libraries()
    write_encoder(request.param)
    return request.param


def strong(model):
    """Return the model with weights so large that each token's attention matters."""
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2 and "embed" not in name:
            parameter.data *= 5
    return model.eval()


def rows() -> list[np.ndarray]:
    """Return the token ids of texts of 2 to 14 words."""
    encoded = encode(TEXTS, AutoTokenizer.from_pretrained(BASE), 60, "head+tail", False)
    return [np.array(ids) for (ids,) in encoded]


def test_the_padding_token_goes_into_the_config_but_not_into_the_base(family):
    """Qwen3's tokenizer has a padding token. SmolLM2's has none, so the end token pads."""
    before = digest_of({}, [BASE])
    model, head = build_classifier(["a", "b", "c"], dropout=None)
    assert AutoConfig.from_pretrained(BASE).pad_token_id is None
    assert model.config.pad_token_id == model.model.config.pad_token_id == 0
    assert not model.config.use_cache
    save_classifier(apply_method(model, head, LORA, peft_defaults(family), 10), SAVED)
    assert (read(ADAPTER / "config.json")["pad_token_id"], read(ADAPTER / "config.json")["dtype"]) == (0, "float32")
    reloaded, _ = load_classifier()
    assert (reloaded.config.pad_token_id, reloaded.dtype) == (0, torch.float32)
    assert reloaded(**pad_batch(rows(), 0)).past_key_values is None
    assert digest_of({}, [BASE]) == before


def test_padding_changes_no_logits(family):
    model, _ = build_classifier(["a", "b", "c"], dropout=None)
    strong(model)
    alone = np.concatenate([logits(model, [ids]) for ids in rows()])
    assert np.ptp(alone, axis=0).max() > 0.1
    np.testing.assert_allclose(logits(model, rows()), alone, atol=1e-5)
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    tokenizer.pad_token_id = 0
    for side in ("right", "left"):
        tokenizer.padding_side = side
        with torch.inference_mode():
            padded = model(**tokenizer(TEXTS, padding=True, return_tensors="pt")).logits
        np.testing.assert_allclose(padded.numpy(), alone, atol=1e-5)
    last = [ids.copy() for ids in rows()]
    for ids in last:
        ids[-1] = 5
    assert np.abs(logits(model, last) - alone).max() > 0.01  # the last token is read


def test_the_features_are_those_of_the_last_token(family):
    """In a batch the rows have different lengths. Alone, a row has no padding, and its last position counts."""
    model, _ = build_classifier(["a", "b", "c"], dropout=None)
    strong(model)
    with torch.inference_mode():
        states = [model.model(torch.from_numpy(ids)[None]).last_hidden_state[0] for ids in rows()]
    _, features = logits_and_features(model, rows())
    np.testing.assert_allclose(features, [state[-1] for state in states], atol=1e-4)
    assert np.abs(features - [state[0] for state in states]).max() > 0.1


def test_a_tokenizer_without_special_tokens(family):
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    assert count_special_tokens(tokenizer) == (0, 0)
    (ids,) = tokenizer([TEXTS[4]])["input_ids"]
    (whole,) = encode([TEXTS[4]], tokenizer, 60, "head+tail", False)
    (cut,) = encode([TEXTS[4]], tokenizer, 8, "head+tail", False)
    windows = encode_words(TEXTS[4], tokenizer, 8, "head", False, windows=2)
    assert (whole, cut) == ([ids], [ids[:2] + ids[-6:]])
    assert windows.windows == [ids[:8], ids[-8:]]


@pytest.mark.parametrize("texts", [TEXTS, [TEXTS[4]] * 2, [TEXTS[4]]], ids=["padded", "not padded", "one row"])
def test_bf16_on_a_cpu_keeps_the_attention_causal(family, monkeypatch, texts):
    """The reference is eager attention in fp32, which always has a mask. Heads of keys and values are shared."""
    inputs = pad_batch([np.array(ids) for ids in AutoTokenizer.from_pretrained(BASE)(texts)["input_ids"]], 0)
    model, _ = build_classifier(["a", "b", "c"], dropout=None, bf16_on_cpu=True)
    strong(model)
    assert model.config._attn_implementation == attention.MATMUL_ATTENTION
    eager = AutoModelForSequenceClassification.from_config(
        model.config, attn_implementation="eager", dtype=torch.float32
    )
    eager.load_state_dict(model.state_dict())
    expected = eager.eval()(**inputs, output_hidden_states=True)
    monkeypatch.setattr(attention, "attend", None)  # products, which are not causal, would fail
    computed = model(**inputs, output_hidden_states=True)
    kept = inputs["attention_mask"].bool()
    for state, reference in zip(computed.hidden_states, expected.hidden_states, strict=True):
        torch.testing.assert_close(state[kept], reference[kept], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(computed.logits, expected.logits, atol=1e-4, rtol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        gap = (model(**inputs).logits.float() - expected.logits).norm() / expected.logits.norm()
    assert 0 < gap < 0.05


def test_no_part_for_encoders_is_used(family):
    model, head = build_classifier(["a", "b"], dropout=0.0)
    assert first_token_classes(model) == {}
    assert {type(module).__name__ for module in model.modules() if "classifier" in type(module).__module__} <= {
        "OneDnnLinear"
    }
    network = apply_method(model, head, LORA, peft_defaults(family), 10)
    assert not can_capture(network)
    adapted = {name.split(".layers.")[1][0] for name, _ in network.named_parameters() if "lora_A" in name}
    assert adapted == {"1"}  # layers_to_transform
    check_length(network, 300)


@pytest.mark.parametrize("name", METHODS)
def test_each_method_reads_no_padding(family, name):
    """peft gives the network embeddings for the prompt methods, and a decoder cannot see the padding in them."""
    model, head = build_classifier(["a", "b", "c"], dropout=None)
    arguments = METHODS[name], peft_defaults(family), 10
    if name in ("prompt", "p-tuning"):
        with pytest.raises(InputError, match=r"peft_type: \w+ does not suit a decoder, which would read"):
            apply_method(model, head, *arguments)
        return
    model = apply_method(model, head, *arguments)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn_like(parameter)
    alone = np.concatenate([logits(model, [ids]) for ids in rows()])
    np.testing.assert_allclose(logits(model, rows()), alone, atol=1e-4)
    save_classifier(model, SAVED)
    np.testing.assert_allclose(logits(load_classifier()[0], rows()), alone, atol=1e-4)


@pytest.mark.parametrize("family", ["qwen3"], indirect=True)
def test_another_decoder_with_a_list_of_end_tokens(family):
    """Gemma scales its embeddings and has one head of keys and values. The tokenizer's padding token is used."""
    config = read(BASE / "config.json")
    sizes = {name: config[name] for name in ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers")}
    gemma = GemmaConfig(**sizes, num_attention_heads=2, num_key_value_heads=1, head_dim=16, eos_token_id=[1, 2])
    gemma.pad_token_id = None
    AutoModelForSequenceClassification.from_config(gemma).save_pretrained(BASE)
    model, head = build_classifier(["a", "b", "c"], dropout=None)
    assert (head, model.config.pad_token_id) == (["score"], 0)
    strong(model)
    alone = np.concatenate([logits(model, [ids]) for ids in rows()])
    np.testing.assert_allclose(logits(model, rows()), alone, atol=1e-5)


@pytest.mark.parametrize("family", ["qwen3"])
def test_a_whole_run(finished, family):
    """Training, evaluation, samples and report of the tiny project with a decoder in the encoder's place."""
    shutil.rmtree(BASE)
    write_encoder(family)
    peft = {"target_modules": peft_defaults(family)["target_modules"]}
    edit_params(finished, **{"models.minilm.peft": peft, "infer.texts": ["a great film", "a boring film"]})
    run_stages("tokenize", "train", "evaluate", "infer", "report")
    training, evaluation = read("metrics/training.json"), read("metrics/evaluate.json")
    assert training["bias"] == {}
    assert read(ADAPTER / "config.json")["calibration_bias"] == [0, 0]
    assert training["temperature"] != 1
    assert evaluation["accuracy"] == evaluation["accuracy_uncalibrated"] > 0.8
    assert evaluation["log_loss"] != evaluation["log_loss_uncalibrated"]
    report = Path("metrics/report.md").read_text()
    assert "The head has no bias, so the calibration is a temperature alone. It is fitted" in report
    texts = ["a great film", "a boring film and not good", "dull"]
    answers = predict(texts)
    assert answers[0][0] == read("metrics/samples.json")[0]["label"]
    check_export(texts, answers)


def check_export(texts: list[str], answers) -> None:
    """Export two forms; compare pipeline() and the ONNX graph, on a batch with padding, with the pipeline's answers."""
    import onnxruntime
    from scipy.special import softmax
    from transformers import pipeline

    edit_params(Path(), **{"export.formats": ["transformers", "onnx"], "export.tolerance": 1.0})
    run_stages("export")
    results = read("metrics/export.json")
    assert {name: result["kept"] for name, result in results.items()} == {"transformers": True, "onnx": True}
    assert results["transformers"]["validation"] == results["onnx"]["validation"]
    confidences = pytest.approx([confidence for _, confidence in answers], abs=1e-4)
    scored = pipeline("text-classification", model=str(EXPORT), device="cpu")(texts, batch_size=3)
    assert [score["label"] for score in scored] == [label for label, _ in answers]
    assert [score["score"] for score in scored] == confidences
    batch = AutoTokenizer.from_pretrained(EXPORT)(texts, padding=True, return_tensors="np")
    session = onnxruntime.InferenceSession(EXPORT / "onnx/model.onnx")
    assert softmax(session.run(["logits"], dict(batch))[0], axis=1).max(axis=1).tolist() == confidences
    card = (EXPORT / "README.md").read_text()
    assert "which was fitted on the validation split. The head has no bias, so the calibration is a temperature" in card
