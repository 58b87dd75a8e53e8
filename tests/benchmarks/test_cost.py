"""The arithmetic of cost.py and operations.py, compared with torch's own count and with a case worked by hand."""

import pytest
import torch
import typer
from commands import read
from peft import LoraConfig, get_peft_model
from tiny import ROOT
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertForSequenceClassification
from typer.testing import CliRunner

from benchmarks.cost import MACHINES, TOKENIZE, Machine, main, predictions, stage_seconds, time_span
from benchmarks.operations import Encoder
from classifier.model.fast.modules import use_fast_modules


def recorded() -> list[dict]:
    """Return the predictions that docs/evidence/cost.md shows."""
    return read(ROOT / "benchmarks/cost.json")["rows"]


@pytest.mark.parametrize("adapted", [6, 4])
def test_operations_are_those_that_torch_counts(monkeypatch, adapted):
    """LoRA of rank 1 adds a little. The input of the lowest layer with LoRA needs no gradient."""
    monkeypatch.setattr("classifier.model.fast.linear.HAS_ONEDNN", False)  # torch counts no operations of oneDNN
    encoder, tokens = Encoder(layers=6, hidden=64, intermediate=256, adapted=adapted, trained=0), 50
    config = BertConfig(
        vocab_size=10, hidden_size=64, num_hidden_layers=6, num_attention_heads=2, intermediate_size=256,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=2,
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    use_fast_modules(model)
    head = 2 * (64 * 64 + 64 * 2)
    ids = torch.zeros((1, tokens), dtype=torch.long)
    with (
        FlopCounterMode(display=False) as forward,
        sdpa_kernel(SDPBackend.MATH),
    ):  # torch does not count fused attention
        model(ids)
    assert forward.get_total_flops() - head == encoder.forward(tokens)
    top = list(range(6 - adapted, 6))
    model = get_peft_model(
        model, LoraConfig(r=1, target_modules=["query", "key", "value", "dense"], layers_to_transform=top)
    )
    with FlopCounterMode(display=False) as step, sdpa_kernel(SDPBackend.MATH):
        model(ids).logits.sum().backward()
    assert step.get_total_flops() == pytest.approx(encoder.training(tokens), rel=0.04)  # LoRA takes 3%


def test_prices(tmp_path):
    runner, prices = CliRunner(), [f"--price={price}" for price in (1, 2, 3, 4, 5)]
    app = typer.Typer(add_completion=False)
    app.command()(main)
    assert runner.invoke(app, [*prices, f"--out={tmp_path / 'cost.json'}"]).exit_code == 0
    asked = [row["price of train and score"] for row in read(tmp_path / "cost.json")["rows"]]
    for number, (machine, row) in enumerate(zip(MACHINES, recorded()[:5], strict=True)):
        assert asked[number] == pytest.approx((number + 1) / machine.price * row["price of train and score"])
    refused = runner.invoke(app, prices[:1])
    assert refused.exit_code == 2
    assert "5 prices are needed, one for each machine" in refused.output


def test_the_recorded_predictions_are_those_of_the_code():
    assert predictions([25e3, 3.6e6, 1e9], [machine.price for machine in MACHINES])["rows"] == recorded()


def test_a_case_by_hand():
    """1,600 texts of 10 tokens, three times after an epoch on 5 of them, by two hosts with batches of 32: 200 steps."""
    encoder = Encoder(layers=2, hidden=2, intermediate=4, adapted=1, trained=1000)
    last = {tokens: 2 * 2 * 4 * tokens + 2 * (2 * 4 + 2 * 8) + 4 * 2 * tokens for tokens in (5, 10)}
    assert last == {5: 168, 10: 288}
    assert encoder.forward(10) == 2 * (4 * 4 + 2 * 8) * 10 + 4 * 2 * 100 + 288 == 1728
    assert encoder.forward(5) == 2 * (4 * 4 + 2 * 8) * 5 + 4 * 2 * 25 + 168 == 688
    machine = Machine("two", 2, 2, batch=32, train=1440, score=720, start=7, step=0.5, network=8000, price=1)
    seconds = stage_seconds(1600, machine, encoder, 10, 5, 10)
    assert seconds["score"] == 7 + 1600 * 1728 / 720 / 2
    assert seconds["tokenize"] == 3.5 + 1600 / TOKENIZE / 2
    # The backward pass of the last layer has attention's 4 * 2 * tokens twice, and no 2 * 4 a token for queries, keys
    # and values.
    assert encoder.training(10) == 1728 + 288 + 80 - 8 * (10 + 10 + 1)
    learned = 1600 * (3 * (1728 + 200) + 688 + 168 + 40 - 8 * 11)
    validated = (4 * 400 / 1440 + 400 / 720) * 1728
    assert seconds["train"] == pytest.approx(7 + (learned / 1440 + validated) / 2 + 200 * (0.5 + 1))
    assert [time_span(value) for value in (5, 600, 7200, 864000)] == ["5.0 s", "10.0 min", "2.0 h", "10.0 days"]
