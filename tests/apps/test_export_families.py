"""The merged model and the ONNX graph of each family of encoders."""

from pathlib import Path

import numpy as np
import pytest
from encoders import DECODERS, FAMILIES, SAVED, peft_defaults, write_encoder

from apps import export


@pytest.mark.parametrize("family", FAMILIES + DECODERS)
def test_each_familys_graph(tmp_path, monkeypatch, family):
    """The merged model in transformers and the ONNX graph score as the adapted model does, padding included."""
    import onnxruntime
    import torch
    from transformers import AutoModelForSequenceClassification

    from classifier.model.adapters import apply_method
    from classifier.model.build import build_classifier
    from classifier.model.forward import pad_batch, silence_libraries
    from classifier.model.loading import load_classifier
    from classifier.model.saving import save_classifier
    from classifier.params.catalogue import Method

    monkeypatch.chdir(tmp_path)
    silence_libraries()
    write_encoder(family)
    model, head = build_classifier(["a", "b", "c"], dropout=0.0)
    model = apply_method(model, head, Method(peft={"peft_type": "LORA", "r": 4}), peft_defaults(family), 10).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:  # a new adapter is zero
                parameter.normal_(std=0.1)
    save_classifier(model, SAVED)
    merged, _ = load_classifier()
    merged.cpu().save_pretrained("export")
    export.write_onnx(merged, Path("model.onnx"))
    session = onnxruntime.InferenceSession("model.onnx")
    exported = AutoModelForSequenceClassification.from_pretrained("export").eval()
    for lengths in ((3,), (20, 5, 9)):
        batch = pad_batch([np.arange(5, 5 + length) for length in lengths], model.config.pad_token_id or 0)
        with torch.inference_mode():
            expected = model(**batch).logits.numpy()
            np.testing.assert_allclose(exported(**batch).logits.numpy(), expected, atol=1e-4)
        (logits,) = session.run(["logits"], {name: tensor.numpy() for name, tensor in batch.items()})
        np.testing.assert_allclose(logits, expected, atol=1e-4)
