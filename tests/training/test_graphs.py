"""Gradients by CUDA graphs: for which networks, and whether they equal eager gradients.

Without a GPU the captures and replays are tested with a fake torch.cuda, whose graphs run on the CPU. The tests marked
`gpu` need a GPU.
"""

import shutil
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from encoders import DECODERS, FAMILIES, peft_defaults, sequences, small_bert, write_encoder
from peft import PeftModel
from tiny import ROOT, edit_params
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from classifier.files.places import BASE
from classifier.model.adapters import apply_method
from classifier.model.build import build_classifier
from classifier.model.loading import silence_libraries
from classifier.runner.params import arguments, load_params
from classifier.tasks import single_label
from classifier.text.tokens import open_tokens
from classifier.training.gradient import Gradient
from classifier.training.graphs import GraphedBackward, can_capture
from classifier.training.state import trained_parameters
from classifier.training.training import Training
from stages.train import train

PARAMS = load_params(ROOT / "params.yaml")
ROWS = [np.minimum(row, 20) for row in sequences(8)]  # ids that the vocabularies of all families have
CAPTURED_METHODS = {"lora", "rslora", "dora", "loraplus", "pissa", "ia3", "vera", "full", "head"}
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


class FakeGraph(TorchDispatchMode):
    """A stand-in for torch.cuda.CUDAGraph.

    It captures the operations of a `with` block. `end` undoes what the block wrote, because a capture has no effect.
    `replay` runs the operations again on the same memory.
    """

    def __init__(self):
        super().__init__()
        self.operations, self.overwritten, self.replays = [], [], 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        for argument, value in zip(operation._schema.arguments, args, strict=False):
            if argument.alias_info is not None and argument.alias_info.is_write:
                self.overwritten.append((value.detach(), value.detach().clone()))
        results = operation(*args, **kwargs)
        same_memory = [tree_map_only(torch.Tensor, torch.Tensor.detach, part) for part in (args, kwargs, results)]
        self.operations.append((operation, *same_memory))
        return results

    def end(self) -> None:
        for tensor, value in reversed(self.overwritten):
            tensor.copy_(value)

    def replay(self) -> None:
        self.replays += 1
        with torch.no_grad():
            for operation, args, kwargs, results in self.operations:
                new_results = operation(*args, **kwargs)
                for tensor, value in zip(tensors(results), tensors(new_results), strict=True):
                    tensor.copy_(value)


def tensors(results) -> list[torch.Tensor]:
    results = results if isinstance(results, (tuple, list)) else [results]
    return [result for result in results if isinstance(result, torch.Tensor)]


@pytest.fixture
def fake_cuda(monkeypatch) -> SimpleNamespace:
    """Replace what GraphedBackward calls in torch.cuda; return the captured graphs and their memory pools."""
    captured = SimpleNamespace(graphs=[], pools=[])

    @contextmanager
    def graph(fake_graph, pool, stream):
        captured.graphs.append(fake_graph)
        captured.pools.append(pool)
        with fake_graph:
            yield
        with torch.no_grad():
            fake_graph.end()

    stream = SimpleNamespace(wait_stream=lambda stream: None)
    for name, value in {
        "graph_pool_handle": object,
        "Stream": lambda: stream,
        "current_stream": lambda: stream,
        "stream": lambda stream: nullcontext(),
        "CUDAGraph": FakeGraph,
        "graph": graph,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return captured


@contextmanager
def device_is_cuda(network_class: type):
    """Let `network.device` be cuda for networks of the class, so that Gradient takes graphs; no tensor is moved."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(network_class, "device", torch.device("cuda"), raising=False)
        yield


def compare(model, rows, labels, parts, count: int, rtol: float, **options) -> set[tuple[int, int, int]]:
    """Compare the gradients by graphs with eager ones, in micro-batches of 4; return the shapes that were captured.

    Args:
        parts: Slices of the rows. Each is compared in turn, and the weights change after each.
        count: The divisor of the loss.
        rtol: The relative tolerance.
        options: Other arguments of Gradient.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    options["max_length"] = max(map(len, rows))
    eager = Gradient(model, single_label, 4, **options, use_cuda_graphs=False)
    with device_is_cuda(type(model)):
        graphed = Gradient(model, single_label, 4, **options, use_cuda_graphs=True)
    for part in parts:
        results = []
        for gradient in (eager, graphed, graphed):
            model.zero_grad(set_to_none=False)
            loss = gradient(rows[part], labels[part], count)
            results.append((loss, torch.cat([parameter.grad.flatten() for parameter in trained])))
        (eager_loss, eager_gradient), (graphed_loss, graphed_gradient), (_, repeated_gradient) = results
        assert graphed_loss == pytest.approx(eager_loss, rel=rtol)
        assert eager_gradient.norm() > 0
        assert (graphed_gradient - eager_gradient).norm() < rtol * eager_gradient.norm()
        assert torch.equal(graphed_gradient, repeated_gradient)
        with torch.no_grad():
            for parameter in trained:
                parameter.sub_(parameter.grad)
    return set(graphed.backward.graphs)


@gpu
@pytest.mark.parametrize("weights", [None, [0.5, 1.5]])
@pytest.mark.parametrize("bf16", [False, True])
def test_graphs_give_the_eager_gradients(weights, bf16):
    check_gradients(small_bert().cuda().train(), weights, bf16)


@pytest.mark.parametrize("bf16", [False, True])
def test_fake_graphs_give_the_eager_gradients(fake_cuda, bf16):
    check_gradients(small_bert().train(), None, bf16)
    assert len(fake_cuda.graphs) == 3
    assert [graph.replays for graph in fake_cuda.graphs] == [4, 4, 6]
    assert len(set(map(id, fake_cuda.pools))) == 1  # all graphs share one memory pool


def test_graphs_read_the_token_types(fake_cuda):
    """The token 7 ends the first text of each row, at another place in each."""
    model = small_bert().train()
    model.config.token_types_after = 7
    rows = [np.array([5, *[6] * n, 7, *[8] * (20 - n)]) for n in range(1, 9)]
    compare(model, rows, np.arange(8) % 2, [slice(4), slice(4, 8)], 4, 1e-4)
    assert [graph.replays for graph in fake_cuda.graphs] == [4]


def check_gradients(model, weights, bf16) -> None:
    rng = np.random.default_rng(0)
    lengths = [*[20] * 4, *[9] * 2, *[33] * 4, *[60] * 4]  # 20 and 9 are padded to 32, and 33 to the largest length
    rows = [rng.integers(5, 50, length) for length in lengths]
    options = {"bf16": bf16, "settings": weights and np.array(weights, dtype=np.float32)}
    parts = [slice(6), slice(6, 14), slice(6), slice(6, 10)]
    shapes = compare(model, rows, np.arange(14) % 2, parts, 10, 2e-2 if bf16 else 1e-4, **options)
    assert shapes == {(4, 32, 10), (2, 32, 10), (4, 60, 10)}


class Line(torch.nn.Module):
    """A model with the loss (sum of the unmasked ids + sum of the labels) * weight / count; `idle` has no influence."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([2.0]))
        self.idle = torch.nn.Parameter(torch.ones(2))

    def loss(self, inputs, labels, count):
        return (((inputs["input_ids"] * inputs["attention_mask"]).sum() + labels.sum()) * self.weight / count).sum()


def batch(ids: list[list[int]], mask: list[list[int]] | None = None) -> dict[str, torch.Tensor]:
    ids = torch.tensor(ids)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids) if mask is None else torch.tensor(mask)}


def test_each_shape_and_count_has_a_graph(fake_cuda):
    line = Line()
    backward = GraphedBackward(line.loss, list(line.parameters()))
    zero = torch.tensor([0, 0])
    for ids, count in (([[1, 2], [3, 4]], 2), ([[5, 6], [7, 8]], 2), ([[1, 2], [3, 4]], 4), ([[1, 2, 3]] * 2, 2)):
        backward(batch(ids), zero, count)
    assert list(backward.graphs) == [(2, 2, 2), (2, 2, 4), (2, 3, 2)]
    assert [graph.replays for graph in fake_cuda.graphs] == [2, 1, 1]


def test_a_replay_reads_the_ids_the_mask_the_labels_and_the_weights(fake_cuda):
    line = Line()
    backward = GraphedBackward(line.loss, list(line.parameters()))
    for ids, mask, labels, expected in (
        ([[1, 2]], [[1, 1]], [0], 3),
        ([[4, 2]], [[1, 1]], [0], 6),
        ([[4, 2]], [[1, 0]], [0], 4),
        ([[4, 2]], [[1, 0]], [1], 5),
        ([[1, 2]], [[1, 1]], [0], 3),
    ):
        line.weight.grad.zero_()
        loss = backward(batch(ids, mask), torch.tensor(labels), 1)
        assert loss.item() == 2 * expected
        assert line.weight.grad.item() == expected
    with torch.no_grad():
        line.weight.fill_(10.0)  # an optimizer step changes weights in place too
    assert backward(batch([[1, 2]]), torch.tensor([0]), 1).item() == 30


def test_gradients_are_added_to_the_same_tensors(fake_cuda):
    """The capture itself adds nothing. A parameter without influence has a gradient of zeros."""
    line = Line()
    backward = GraphedBackward(line.loss, list(line.parameters()))
    gradients = [line.weight.grad, line.idle.grad]
    assert [tensor.tolist() for tensor in gradients] == [[0], [0, 0]]
    for ids, sum_so_far in (([[1, 2]], 3), ([[4, 2]], 9), ([[1, 1, 1]], 12), ([[1, 2]], 15)):
        backward(batch(ids), torch.tensor([0]), 1)
        assert line.weight.grad.item() == sum_so_far
    for parameter in line.parameters():
        parameter.grad.zero_()
    backward(batch([[4, 2]]), torch.tensor([0]), 1)
    assert line.weight.grad.item() == 6
    assert line.idle.grad.tolist() == [0, 0]
    assert all(now is then for now, then in zip([line.weight.grad, line.idle.grad], gradients, strict=True))


@pytest.mark.parametrize(
    ("device", "wanted", "possible", "bf16", "uses_graphs", "multiple"),
    [
        ("cuda", True, True, False, True, 32),
        ("cuda", True, True, True, True, 32),
        ("cuda", True, False, False, False, 1),  # a network that cannot be captured
        ("cuda", True, False, True, False, 1),
        ("cuda", False, True, False, False, 1),  # one of several processes
        ("cpu", True, True, False, False, 1),
        ("cpu", True, True, True, False, 16),
        ("mps", True, True, True, False, 1),
    ],
)
def test_when_graphs_are_used(monkeypatch, device, wanted, possible, bf16, uses_graphs, multiple):
    monkeypatch.setattr("classifier.training.graphs.can_capture", lambda network: possible)
    monkeypatch.setattr("classifier.training.graphs.GraphedBackward", lambda function, parameters: parameters)
    trained, frozen = (SimpleNamespace(requires_grad=trains) for trains in (True, False))
    network = SimpleNamespace(device=SimpleNamespace(type=device), parameters=lambda: [frozen, trained])
    gradient = Gradient(network, single_label, 4, bf16, use_cuda_graphs=wanted)
    assert (gradient.uses_cuda_graphs, gradient.padding_multiple) == (uses_graphs, multiple)
    assert (gradient.backward == [trained]) == uses_graphs


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Return a function that builds the network of a family of encoders, a method and a dropout."""
    monkeypatch.chdir(tmp_path)
    silence_libraries()

    def build_network(family: str, method: str = "lora", dropout: float = 0.0):
        write_encoder(family)
        return apply_method(
            *build_classifier(["no", "yes"], dropout), PARAMS.methods[method], peft_defaults(family), 10
        )

    return build_network


@pytest.mark.parametrize("family", FAMILIES + DECODERS)
def test_encoders_that_can_be_captured(build, family):
    assert can_capture(build(family)) == (family not in ("modernbert", *DECODERS))


@pytest.mark.parametrize("method", PARAMS.methods)
def test_methods_that_can_be_captured(build, method):
    assert can_capture(build("bert", method)) == (method in CAPTURED_METHODS)


def test_dropout_cannot_be_captured(build, monkeypatch):
    assert not can_capture(build("bert", dropout=0.1))
    shutil.rmtree(BASE)
    lora = PARAMS.methods["lora"]
    monkeypatch.setitem(PARAMS.methods, "lora", lora.model_copy(update={"peft": {**lora.peft, "lora_dropout": 0.1}}))
    assert not can_capture(build("bert"))


@gpu
@pytest.mark.parametrize("family", ["distilbert", "roberta", "mpnet"])
def test_graphs_of_other_encoders(build, family):
    compare(build(family).cuda().train(), ROWS, np.arange(8) % 2, [slice(4), slice(8)], 8, 1e-4)


@pytest.mark.parametrize(
    ("family", "method"),
    [
        ("distilbert", "lora"),
        ("roberta", "lora"),
        ("mpnet", "lora"),
        ("mpnet", "full"),
        *(("bert", name) for name in sorted(CAPTURED_METHODS)),
    ],
)
def test_fake_graphs_of_each_encoder_and_method(fake_cuda, build, family, method):
    compare(build(family, method).train(), ROWS, np.arange(8) % 2, [slice(4), slice(8)], 8, 1e-4)
    assert fake_cuda.graphs


def test_a_training_by_fake_graphs_ends_with_the_same_weights(finished, fake_cuda):
    """The training must set the gradients to zero in place, because the next replay adds to the same tensors."""
    edit_params(finished, **{"train.epochs": 1, "train.short_epoch": 8, "train.dropout": 0.0})

    def weights_after(steps: int, uses_graphs: bool) -> dict[str, torch.Tensor]:
        with device_is_cuda(PeftModel) if uses_graphs else nullcontext():
            tokens = {f"{split}_tokens": open_tokens(split) for split in ("train", "validation")}
            training = Training(**arguments(train, load_params()), **tokens)
        assert training.gradient.uses_cuda_graphs == uses_graphs
        for step in range(1, steps + 1):
            training.take_step(step)
        return trained_parameters(training.network)

    expected, graphed = weights_after(6, False), weights_after(6, True)
    assert sum(graph.replays for graph in fake_cuda.graphs) == 6
    before = weights_after(0, False)
    for name, tensor in expected.items():
        torch.testing.assert_close(graphed[name], tensor, rtol=1e-3, atol=1e-5, msg=name)
    assert any((tensor - before[name]).abs().max() > 1e-3 for name, tensor in expected.items())


@gpu
@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("method", sorted(CAPTURED_METHODS))
def test_graphs_of_each_method(build, method, bf16):
    rtol = 2e-2 if bf16 else 1e-4
    compare(build("bert", method).cuda().train(), ROWS, np.arange(8) % 2, [slice(4), slice(8)], 8, rtol, bf16=bf16)
