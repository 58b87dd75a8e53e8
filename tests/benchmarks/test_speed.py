"""`make speed`: both sides are timed in turn, on the same texts."""

from pathlib import Path

import numpy as np
import pytest
from commands import git, predict, read
from encoders import write_encoder
from tiny import reviews

from benchmarks import peers, record, speed
from benchmarks.speed_training import Case, tokenized, training_cases, write_distilbert
from classifier.files.places import BASE
from classifier.model.loading import load_classifier
from classifier.runner.params import load_params
from classifier.text.tokens import open_tokens
from classifier.training.training import Training

pytestmark = pytest.mark.usefixtures("matrix_rate")


def test_both_sides_are_timed_in_turn(monkeypatch):
    order = []

    def taking(name, seconds):
        return lambda: order.append(name) or next(seconds)

    ours, theirs = taking("ours", iter([1, 2, 6])), taking("theirs", iter([6, 4, 3]))
    row = speed.time_both({"what": "x"}, [1e9] * 30, 3, ours, theirs)
    assert order == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert row == {
        "what": "x",
        "ours, texts/s": 15,
        "theirs, texts/s": 7.5,
        "times as fast": 2,
        "lowest": 0.5,
        "highest": 6,
        "ours, of the matrix rate": 3,
    }


def test_speed_beside_the_peers(finished, tmp_path, capsys, monkeypatch):
    batches, take_step = [], Training.take_step

    def noted_step(self, step: int) -> tuple[float, float]:
        batches.append(self.plan.batch(step)[1])
        return take_step(self, step)

    trainings, trainer = [], peers.trainer

    def noted_trainer(settings, texts, *args):
        trainings.append((texts, settings.order))
        return trainer(settings, texts, *args)

    monkeypatch.setattr(peers, "trainer", noted_trainer)
    monkeypatch.setattr(Training, "take_step", noted_step)
    monkeypatch.setattr(speed, "write_distilbert", write_tiny_distilbert)
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    monkeypatch.setenv("MACHINE", "mine")
    monkeypatch.setattr(speed, "uses_bf16", lambda *args: True)
    speed.main(steps=2, texts=20, pairs=1)
    assert [len(batch) for batch in batches] == [16] * 8  # the share of two steps of each case
    assert [sorted(np.concatenate(batches[:2])), sorted(np.concatenate(batches[3:5]))] == [list(range(32))] * 2
    assert [order for _, order in trainings] == ["sequential"] * 2 + [None] * 4
    (sequential, _), _, (texts, _), *_ = trainings
    assert sequential == [texts[row] for row in np.concatenate(batches[:2])]  # the frugal Trainer gets our batches
    assert capsys.readouterr().out.count("'train_samples_per_second'") == 6  # lines that Trainer prints
    rows = read(tmp_path / "results/mine/speed.json")["rows"]
    assert all(0 < row["ours, of the matrix rate"] < 10 for row in rows)  # shares of the fixture's matrix rate
    assert [row["equal labels"] is None for row in rows] == [True] * 6 + [False] * 4
    assert all(0 <= row["equal labels"] <= 1 for row in rows[6:])
    padded, whole = "Trainer, padded to the batch, no dropout", "Trainer, padded to the full length, dropout"
    assert [[row["what"], row["compared with"]] for row in rows] == [
        ["training, minilm, 24 tokens", padded],
        ["training, DistilBERT's size, 24 tokens", padded],
        ["training, minilm, 24 tokens", whole],
        ["training, minilm, 48 tokens", whole],
        ["training, DistilBERT's size, 24 tokens", whole],
        ["training, DistilBERT's size, 48 tokens", whole],
        ["scoring, 24 tokens", "pipeline, batches of 1"],
        ["scoring, 24 tokens", "pipeline, batches of 32"],
        ["scoring in bf16, 24 tokens", "pipeline in bf16, batches of 1"],
        ["scoring in bf16, 24 tokens", "pipeline in bf16, batches of 32"],
    ]


def test_another_encoder_is_timed_in_a_clone(finished, forked_commands, tmp_path, monkeypatch):
    """The clone has the settings of --set, and the result file the encoder's name. This folder stays as it is."""
    timed, commands = [], []

    def noting(case: Case, *args):
        timed.append((case.name, case.base, load_params().train.seed))
        return {}

    monkeypatch.setattr(speed, "run", lambda command, **options: commands.append((command, Path.cwd())))
    monkeypatch.setattr(speed, "training_cases", lambda large: [Case("minilm", large or BASE, 24, 1, frugal=True)])
    monkeypatch.setattr(speed, "compare_training", noting)
    monkeypatch.setattr(speed, "compare_scoring", lambda *args: [])
    monkeypatch.setattr(speed, "FORMATS", {})
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    monkeypatch.setenv("MACHINE", "mine")
    speed.main(overrides=["train.seed=14"])
    assert timed == [("minilm", BASE, 14)]
    ((command, folder),) = commands
    assert command == ["dvc", "repro", "--quiet", "train"]
    assert folder != Path.cwd() == finished
    assert load_params().train.seed == 13
    assert [path.name for path in (tmp_path / "results/mine").iterdir()] == ["speed-minilm.json"]


def test_a_wrong_setting_is_refused(finished):
    with pytest.raises(
        SystemExit, match=r"^speed: params\.yaml: model: no entry 'mini' under models; did you mean minilm\?$"
    ):
        speed.main(overrides=["model=mini"])


def test_without_the_large_encoder_the_selected_one_trains_alone(finished):
    assert [case.name for case in training_cases(None)] == ["minilm"] * 3


@pytest.mark.parametrize("family", ["bert", "distilbert", "mpnet"])
def test_lora_of_the_peers_is_in_query_and_value(project, family):
    write_encoder(family)
    settings = peers.TrainerSettings(BASE, 2, 24, frugal=True)
    adapted = {name for name, _ in peers.adapted_model(settings).named_modules() if name.endswith(".lora_A.default")}
    assert len(adapted) == 2 * 2  # the query and the value of two layers


def write_tiny_distilbert(folder: Path) -> None:
    from transformers import AutoTokenizer, DistilBertConfig, DistilBertModel

    DistilBertModel(DistilBertConfig(dim=32, hidden_dim=64, n_layers=1, n_heads=2)).save_pretrained(folder)
    AutoTokenizer.from_pretrained("models/base").save_pretrained(folder)


def test_a_folder_of_another_length_and_encoder(finished, tmp_path):
    """tokenized() makes the folder that the stages before train would make. The current folder stays as it is."""
    write_distilbert(tmp_path / "large")
    before = git("status", "--porcelain")
    with tokenized(tmp_path / "large", 48, 20):
        tokens = open_tokens("train")
        assert (len(tokens), tokens.metadata["tokenize"]["max_length"]) == (20, 48)
    assert open_tokens("train").metadata["tokenize"]["max_length"] == 24
    assert git("status", "--porcelain") == before
    written = sum(path.stat().st_size for path in (tmp_path / "large").glob("*.safetensors"))
    assert written > 4 * 42e6  # DistilBERT's weights without the embeddings


def test_the_pipeline_gives_the_labels_of_infer(finished, tmp_path):
    texts = [text for text, _ in reviews(40) if len(text.split()) <= 22]  # no text is cut
    for part in load_classifier():
        part.save_pretrained(tmp_path / "model")
    expected = [label for label, _ in predict(texts)]
    assert set(expected) == {"negative", "positive"}
    assert peers.pipeline(str(tmp_path / "model"), 24, 4)(texts) == expected
