"""The longest text that an encoder can read."""

import pytest
from transformers import AutoConfig, AutoModelForSequenceClassification

from classifier.errors import InputError
from classifier.model.length import check_length


@pytest.mark.parametrize(
    ("kind", "limit"),
    [("bert", 20), ("distilbert", 20), ("roberta", 18), ("xmod", 18), ("mpnet", 18), ("esm", 18), ("longformer", 18)],
)
def test_an_encoder_is_tried_at_the_maximum_length(kind, limit):
    """Some kinds count positions from the padding id, here 1, and so cannot use two of 20. No config says so."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    if kind == "distilbert":
        sizes = {"dim": 32, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}
    more = {"attention_window": 4} if kind == "longformer" else {"languages": ["en"]} if kind == "xmod" else {}
    more |= {"position_embedding_type": "absolute"} if kind == "esm" else {}
    config = AutoConfig.for_model(kind, vocab_size=50, max_position_embeddings=20, pad_token_id=1, **sizes, **more)
    model = AutoModelForSequenceClassification.from_config(config)
    if kind == "xmod":
        model.set_default_language("en")
    check_length(model, limit)
    with pytest.raises(InputError, match=f"tokenize.max_length: the model cannot read 21 tokens; lower it to {limit} "):
        check_length(model, 21)
