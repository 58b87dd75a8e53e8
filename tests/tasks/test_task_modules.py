"""A task is two files: its modules have all that is asked of a task, and no other module asks which task it is."""

import ast
import inspect

import pytest
from tiny import ROOT

from classifier.evaluation.tasks.task import MEASURES, Measures
from classifier.params.datasets import Dataset
from classifier.params.labels import LABEL_KEYS
from classifier.tasks.task import TASKS, Task

PACKAGES = ROOT / "classifier" / "tasks", ROOT / "classifier" / "evaluation" / "tasks"
SOURCES = [
    path
    for folder in ("stages", "classifier", "apps")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.parent not in PACKAGES
]


def parameters(function) -> list[tuple[str, object]]:
    """The names and defaults of a function's parameters, without self."""
    return [(p.name, p.default) for p in inspect.signature(function).parameters.values() if p.name != "self"]


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize(("modules", "protocol"), [(TASKS, Task), (MEASURES, Measures)], ids=["tasks", "evaluation"])
def test_a_module_has_the_functions_and_values_of_its_protocol(modules, protocol, name):
    module = modules[name]
    for value, kind in protocol.__annotations__.items():
        assert isinstance(getattr(module, value), getattr(kind, "__origin__", kind)), value
    functions = {key: value for key, value in vars(protocol).items() if not key.startswith("_") and callable(value)}
    assert len(functions) > 8
    for function, declared in functions.items():
        assert parameters(getattr(module, function)) == parameters(declared), function


def test_the_tasks_have_the_same_names_everywhere():
    names = list(TASKS)
    assert names == list(MEASURES) == list(LABEL_KEYS)
    assert names == list(Dataset.model_fields["task"].annotation.__args__)
    for name in names:
        module = name.replace("-", "_")
        assert TASKS[name].__name__ == f"classifier.tasks.{module}"
        assert MEASURES[name].__name__ == f"classifier.evaluation.tasks.{module}"
        assert (PACKAGES[1] / f"{module}.md.j2").is_file()
    for folder in PACKAGES:
        others = {"__init__", "task", "labels", "label_sets", "folds", "probabilities", "calibration"}
        assert {path.stem for path in folder.glob("*.py")} - others == {name.replace("-", "_") for name in names}


def asks_for_the_task(node: ast.AST) -> bool:
    """Whether a comparison, a key of a match or a membership has the name of a task or of a kind of outputs."""
    names = {*TASKS, *(module.PROBLEM_TYPE for module in TASKS.values()), "PROBLEM_TYPE"}
    if isinstance(node, ast.Compare):
        parts = [part for side in (node.left, *node.comparators) for part in ast.walk(side)]
    elif isinstance(node, ast.match_case):
        parts = list(ast.walk(node.pattern))
    else:
        return False
    return any(getattr(part, "value", None) in names or getattr(part, "attr", None) in names for part in parts)


@pytest.mark.parametrize(
    ("code", "asks"),
    [
        ("if task == 'ordinal': pass", True),
        ("if config.task in ('ordinal', 'regression'): pass", True),
        ("if task.PROBLEM_TYPE != kind: pass", True),
        ("match task:\n    case 'multi-label': pass", True),
        ("task = 'ordinal'", False),
    ],
)
def test_a_question_for_the_task_is_found(code, asks):
    assert any(map(asks_for_the_task, ast.walk(ast.parse(code)))) == asks


def test_no_other_module_asks_which_task_it_is():
    assert len(SOURCES) > 100
    trees = {path.relative_to(ROOT): ast.parse(path.read_text()) for path in SOURCES}
    found = [
        f"{path}:{node.lineno}" for path, tree in trees.items() for node in ast.walk(tree) if asks_for_the_task(node)
    ]
    assert found == []
