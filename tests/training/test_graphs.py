"""Gradients as CUDA graphs. Which networks they are for is asked on any machine, and what is recorded and replayed is
tested with a made-up torch.cuda, too, whose graphs run on the CPU; that they are right on a GPU needs one.
"""

import shutil
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from encoders import FAMILIES, peft_defaults, sequences, small_bert, write_encoder
from peft import PeftModel
from tiny import ROOT, edit_params
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from classifier.files.places import BASE
from classifier.model.adapters import apply_method
from classifier.model.build import build_classifier
from classifier.model.forward import silence_libraries
from classifier.runner.params import arguments, load_params
from classifier.text.tokens import open_tokens
from classifier.training.gradient import Gradient
from classifier.training.graphs import Graphs, repeatable
from classifier.training.training import Training
from stages.train import train

PARAMS = load_params(ROOT / "params.yaml")
ROWS = [np.minimum(row, 20) for row in sequences(8)]  # of the vocabularies of all families
REPEATED = {"lora", "rslora", "dora", "loraplus", "pissa", "ia3", "vera", "full", "head"}
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


class Recording(TorchDispatchMode):
    """In place of torch.cuda.CUDAGraph: the operations of a block, which is left as if it had not run, and `replay`,
    which runs them again on the same memory.
    """

    def __init__(self):
        super().__init__()
        self.steps, self.before, self.replays = [], [], 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        for argument, value in zip(operation._schema.arguments, args, strict=False):
            if argument.alias_info is not None and argument.alias_info.is_write:
                self.before.append((value.detach(), value.detach().clone()))
        results = operation(*args, **kwargs)
        same_memory = [tree_map_only(torch.Tensor, torch.Tensor.detach, part) for part in (args, kwargs, results)]
        self.steps.append((operation, *same_memory))
        return results

    def end(self) -> None:
        for tensor, value in reversed(self.before):
            tensor.copy_(value)

    def replay(self) -> None:
        self.replays += 1
        with torch.no_grad():
            for operation, args, kwargs, results in self.steps:
                again = operation(*args, **kwargs)
                for tensor, value in zip(tensors(results), tensors(again), strict=True):
                    tensor.copy_(value)


def tensors(results) -> list[torch.Tensor]:
    several = results if isinstance(results, (tuple, list)) else [results]
    return [each for each in several if isinstance(each, torch.Tensor)]


@pytest.fixture
def made_up_cuda(monkeypatch) -> SimpleNamespace:
    """What Graphs asks of torch.cuda, without a GPU; the graphs that were made, and the pools that they were given."""
    made = SimpleNamespace(graphs=[], pools=[])

    @contextmanager
    def graph(recording, pool, stream):
        made.graphs.append(recording)
        made.pools.append(pool)
        with recording:
            yield
        with torch.no_grad():
            recording.end()

    stream = SimpleNamespace(wait_stream=lambda other: None)
    for name, value in {
        "graph_pool_handle": object,
        "Stream": lambda: stream,
        "current_stream": lambda: stream,
        "stream": lambda stream: nullcontext(),
        "CUDAGraph": Recording,
        "graph": graph,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return made


@contextmanager
def said_to_be_on_a_gpu(kind: type):
    """The device of networks of this class, as Gradient asks for it when it chooses; their tensors stay elsewhere."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(kind, "device", torch.device("cuda"), raising=False)
        yield


def compare(model, rows, labels, parts, count: int, rtol: float, **options) -> set[tuple[int, int, int]]:
    """Graphs beside plain gradients, of parts of the rows in turn, cut into micro-batches of 4, each time after the
    weights have moved; returns the shapes that were recorded.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    options["longest"] = max(map(len, rows))
    plain = Gradient(model, 4, **options, repeats=False)
    with said_to_be_on_a_gpu(type(model)):
        by_graphs = Gradient(model, 4, **options, repeats=True)
    for part in parts:
        of_part = []
        for gradient in (plain, by_graphs, by_graphs):
            model.zero_grad(set_to_none=False)
            value = gradient(rows[part], labels[part], count)
            of_part.append((value, torch.cat([parameter.grad.flatten() for parameter in trained])))
        (expected, theirs), (found, ours), (_, again) = of_part
        assert found == pytest.approx(expected, rel=rtol)
        assert theirs.norm() > 0
        assert (ours - theirs).norm() < rtol * theirs.norm()
        assert torch.equal(ours, again)
        with torch.no_grad():
            for parameter in trained:
                parameter.sub_(parameter.grad)
    return set(by_graphs.graphs.recorded)


@gpu
@pytest.mark.parametrize("weights", [None, [0.5, 1.5]])
@pytest.mark.parametrize("bf16", [False, True])
def test_graphs_give_the_gradients_of_their_rows(weights, bf16):
    check_gradients(small_bert().cuda().train(), weights, bf16)


@pytest.mark.parametrize("bf16", [False, True])
def test_made_up_graphs_give_the_gradients_of_their_rows(made_up_cuda, bf16):
    check_gradients(small_bert().train(), None, bf16)
    assert len(made_up_cuda.graphs) == 3
    assert [graph.replays for graph in made_up_cuda.graphs] == [4, 4, 6]
    assert len(set(map(id, made_up_cuda.pools))) == 1  # memory that they share


def check_gradients(model, weights, bf16) -> None:
    rng = np.random.default_rng(0)
    lengths = [*[20] * 4, *[9] * 2, *[33] * 4, *[60] * 4]  # 20 and 9 are padded to 32, and 33 to the longest
    rows = [rng.integers(5, 50, length) for length in lengths]
    options = {"bf16": bf16, "weights": weights and np.array(weights, dtype=np.float32)}
    parts = [slice(6), slice(6, 14), slice(6), slice(6, 10)]
    recorded = compare(model, rows, np.arange(14) % 2, parts, 10, 2e-2 if bf16 else 1e-4, **options)
    assert recorded == {(4, 32, 10), (2, 32, 10), (4, 60, 10)}


class Line(torch.nn.Module):
    """A loss whose gradient is known, of (the ids that count + the answers) * weight / count; `idle` has none."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([2.0]))
        self.idle = torch.nn.Parameter(torch.ones(2))

    def loss(self, inputs, answers, count):
        return (((inputs["input_ids"] * inputs["attention_mask"]).sum() + answers.sum()) * self.weight / count).sum()


def batch(ids: list[list[int]], mask: list[list[int]] | None = None) -> dict[str, torch.Tensor]:
    ids = torch.tensor(ids)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids) if mask is None else torch.tensor(mask)}


def test_a_graph_is_recorded_for_each_shape_and_count(made_up_cuda):
    line = Line()
    graphs = Graphs(line.loss, list(line.parameters()))
    zero = torch.tensor([0, 0])
    for ids, count in (([[1, 2], [3, 4]], 2), ([[5, 6], [7, 8]], 2), ([[1, 2], [3, 4]], 4), ([[1, 2, 3]] * 2, 2)):
        graphs(batch(ids), zero, count)
    assert list(graphs.recorded) == [(2, 2, 2), (2, 2, 4), (2, 3, 2)]
    assert [graph.replays for graph in made_up_cuda.graphs] == [2, 1, 1]


def test_a_replay_reads_ids_mask_and_answers_anew(made_up_cuda):
    line = Line()
    graphs = Graphs(line.loss, list(line.parameters()))
    for ids, mask, answers, expected in (
        ([[1, 2]], [[1, 1]], [0], 3),
        ([[4, 2]], [[1, 1]], [0], 6),
        ([[4, 2]], [[1, 0]], [0], 4),
        ([[4, 2]], [[1, 0]], [1], 5),
        ([[1, 2]], [[1, 1]], [0], 3),
    ):
        line.weight.grad.zero_()
        loss = graphs(batch(ids, mask), torch.tensor(answers), 1)
        assert loss.item() == 2 * expected
        assert line.weight.grad.item() == expected
    with torch.no_grad():
        line.weight.fill_(10.0)  # as a step of the optimizer does
    assert graphs(batch([[1, 2]]), torch.tensor([0]), 1).item() == 30


def test_gradients_are_added_to_tensors_that_stay(made_up_cuda):
    """The recording itself adds nothing; a parameter without influence has a gradient of zeros."""
    line = Line()
    graphs = Graphs(line.loss, list(line.parameters()))
    kept = [line.weight.grad, line.idle.grad]
    assert [tensor.tolist() for tensor in kept] == [[0], [0, 0]]
    for ids, sum_so_far in (([[1, 2]], 3), ([[4, 2]], 9), ([[1, 1, 1]], 12), ([[1, 2]], 15)):
        graphs(batch(ids), torch.tensor([0]), 1)
        assert line.weight.grad.item() == sum_so_far
    for parameter in line.parameters():
        parameter.grad.zero_()
    graphs(batch([[4, 2]]), torch.tensor([0]), 1)
    assert line.weight.grad.item() == 6
    assert line.idle.grad.tolist() == [0, 0]
    assert all(now is then for now, then in zip([line.weight.grad, line.idle.grad], kept, strict=True))


@pytest.mark.parametrize(
    ("device", "repeats", "suits", "bf16", "graphs", "multiple"),
    [
        ("cuda", True, True, False, True, 32),
        ("cuda", True, True, True, True, 32),
        ("cuda", True, False, False, False, 1),  # a network that is none for it
        ("cuda", True, False, True, False, 1),
        ("cuda", False, True, False, False, 1),  # one of several processes
        ("cpu", True, True, False, False, 1),
        ("cpu", True, True, True, False, 16),
        ("mps", True, True, True, False, 1),
    ],
)
def test_when_a_gradient_has_graphs(monkeypatch, device, repeats, suits, bf16, graphs, multiple):
    asked = []
    monkeypatch.setattr("classifier.training.graphs.repeatable", lambda network: suits)
    monkeypatch.setattr("classifier.training.graphs.Graphs", lambda loss, trained: asked.append(trained) or "graphs")
    trained, frozen = (SimpleNamespace(requires_grad=needed) for needed in (True, False))
    network = SimpleNamespace(device=SimpleNamespace(type=device), parameters=lambda: [frozen, trained])
    gradient = Gradient(network, 4, bf16, repeats=repeats)
    assert (gradient.graphs, gradient.multiple) == ("graphs" if graphs else None, multiple)
    assert asked == ([[trained]] if graphs else [])


@pytest.fixture
def build(tmp_path, monkeypatch):
    """(family, name of the method, dropout) -> network."""
    monkeypatch.chdir(tmp_path)
    silence_libraries()

    def built(family: str, method: str = "lora", dropout: float = 0.0):
        write_encoder(family)
        return apply_method(
            *build_classifier(["no", "yes"], dropout), PARAMS.methods[method], peft_defaults(family), 10
        )

    return built


@pytest.mark.parametrize("family", FAMILIES)
def test_encoders_that_can_be_repeated(build, family):
    assert repeatable(build(family)) == (family != "modernbert")


@pytest.mark.parametrize("method", PARAMS.methods)
def test_methods_that_can_be_repeated(build, method):
    assert repeatable(build("bert", method)) == (method in REPEATED)


def test_dropout_cannot_be_repeated(build, monkeypatch):
    assert not repeatable(build("bert", dropout=0.1))
    shutil.rmtree(BASE)
    lora = PARAMS.methods["lora"]
    monkeypatch.setitem(PARAMS.methods, "lora", lora.model_copy(update={"peft": {**lora.peft, "lora_dropout": 0.1}}))
    assert not repeatable(build("bert"))


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
        *(("bert", name) for name in sorted(REPEATED)),
    ],
)
def test_made_up_graphs_of_each_encoder_and_method(made_up_cuda, build, family, method):
    compare(build(family, method).train(), ROWS, np.arange(8) % 2, [slice(4), slice(8)], 8, 1e-4)
    assert made_up_cuda.graphs


def test_a_training_by_made_up_graphs_ends_with_the_same_weights(finished, made_up_cuda):
    """Its optimizer must leave the tensors of the gradients in their places, for the next replay to add to."""
    edit_params(finished, **{"train.epochs": 1, "train.short_epoch": 8, "train.dropout": 0.0})

    def weights_after(steps: int, by_graphs: bool) -> dict[str, torch.Tensor]:
        with said_to_be_on_a_gpu(PeftModel) if by_graphs else nullcontext():
            inputs = arguments(train, load_params())
            training = Training(**inputs, tokens=open_tokens("train"), held_out=open_tokens("validation"))
        assert (training.gradient.graphs is not None) == by_graphs
        for step in range(1, steps + 1):
            training.take_step(step)
        return {name: each.detach() for name, each in training.network.named_parameters() if each.requires_grad}

    expected, found = weights_after(6, False), weights_after(6, True)
    assert sum(graph.replays for graph in made_up_cuda.graphs) == 6
    before = weights_after(0, False)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-5, msg=name)
    assert any((tensor - before[name]).abs().max() > 1e-3 for name, tensor in expected.items())


@gpu
@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("method", sorted(REPEATED))
def test_graphs_of_each_method(build, method, bf16):
    near = 2e-2 if bf16 else 1e-4
    compare(build("bert", method).cuda().train(), ROWS, np.arange(8) % 2, [slice(4), slice(8)], 8, near, bf16=bf16)
