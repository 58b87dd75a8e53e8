"""States between the layers in bf16 under autocast on a CPU, against transformers in fp32 and with weights in bf16."""

import pytest
import torch
from encoders import FAMILIES, write_encoder
from tiny import reviews
from transformers import AutoTokenizer

from classifier.files.places import BASE
from classifier.model.build import build_classifier
from classifier.model.fast.embeddings import ROUNDED
from classifier.model.fast.modules import use_fast_modules


@pytest.fixture(params=[family for family in FAMILIES if family != "modernbert"])
def classifier(request, tmp_path, monkeypatch):
    """Return a classifier of a family whose embeddings can be rounded, and five texts of different lengths."""
    monkeypatch.chdir(tmp_path)
    write_encoder(request.param)
    model, _ = build_classifier(["a", "b", "c"], dropout=0.0)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2 and "embeddings" not in name:
            parameter.data *= 5  # with small weights the layers hardly change the logits
    texts = [" ".join(text.split()[: 2 + 3 * number]) for number, (text, _) in enumerate(reviews(5))]
    return model, AutoTokenizer.from_pretrained(BASE)(texts, padding=True, return_tensors="pt")


def logits_and_gradients(model, inputs, autocast: bool = False) -> dict[str, torch.Tensor]:
    """Return the logits, and the gradients of their sum of squares in all weights, in fp32."""
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        logits = model(**inputs).logits
    model.zero_grad()
    logits.float().square().sum().backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    return {name: tensor.detach().float().clone() for name, tensor in ({"logits": logits} | gradients).items()}


def gap(found: dict[str, torch.Tensor], exact: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the relative error of the logits and the median of the gradients' relative errors."""
    errors = {name: (found[name] - exact[name]).norm() / exact[name].norm() for name in exact if exact[name].any()}
    logits = errors.pop("logits")
    return torch.stack([logits, torch.stack([*errors.values()]).median()])


def test_states_in_bf16_as_near_to_fp32_as_a_network_in_bf16(classifier):
    model, inputs = classifier
    exact = logits_and_gradients(model, inputs)
    assert set(use_fast_modules(model, bf16_on_cpu=True).values()) & {kind.__name__ for kind in ROUNDED.values()}
    for name, tensor in logits_and_gradients(model, inputs).items():  # the calibration runs in fp32, without autocast
        assert torch.equal(tensor, exact[name]), name
    dtypes = []
    for name, module in model.named_modules():
        if name.endswith(("layer.0", "layer.1")):
            module.register_forward_pre_hook(lambda _, inputs: dtypes.append(inputs[0].dtype))
    ours = logits_and_gradients(model, inputs, autocast=True)
    assert dtypes == [torch.bfloat16] * 2
    theirs = logits_and_gradients(model.to(torch.bfloat16), inputs)
    ours_gap, their_gap = gap(ours, exact), gap(theirs, exact)
    assert (ours_gap > 0).all()
    assert (ours_gap < 2 * their_gap).all()


def test_other_devices_and_precisions_keep_fp32(classifier):
    model, inputs = classifier
    use_fast_modules(model, bf16_on_cpu=True)
    embeddings, ids = model.base_model.embeddings, inputs["input_ids"]
    assert embeddings(ids).dtype == torch.float32
    with torch.autocast("cpu", torch.float16):
        assert embeddings(ids).dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert embeddings(ids).dtype == torch.bfloat16
        assert embeddings.to("meta")(ids.to("meta")).dtype == torch.float32
