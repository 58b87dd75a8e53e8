"""Measure what a setting gains: train the default once with each setting, and score 2,000 validation reviews.

    make settings

Each setting is one DVC experiment, which DVC runs in a temporary folder, so this folder stays as it is. The test split
is not scored.

Out, at the end: settings.csv; settings.png with the ranks and the learning rates; settings_lora.json and
settings_methods.json with the tables. A row of settings.csv has the precision, the commit and a digest of everything
that its training depended on. A row whose digest is the current one is not measured again. settings.part keeps the rows
of a run that was stopped.
"""

import re
import subprocess
from pathlib import Path

import pandas as pd
from pydantic import BaseModel

from benchmarks.overrides import params_with
from benchmarks.record import current_commit, table
from benchmarks.settings_results import VALIDATION, draw_settings, results
from classifier.distributed.devices import device, uses_bf16
from classifier.files.digests import digest_of
from classifier.files.formats import write_csv, write_json
from classifier.runner.command import no_arguments
from classifier.runner.inputs import code_paths, pipeline
from classifier.runner.params import arguments, load_params, stage_function
from classifier.runner.versions import VERSIONS
from classifier.runner.yaml import parse_yaml

TABLE = Path(__file__).with_name("settings.csv")
STAGES = ("data", "base_model", "tokenize", "train")  # the stages that a training runs
SETTINGS: dict[str, list[str]] = {  # name of a setting -> its overrides, as `dvc exp run -S` takes them
    **{f"rank {rank}": [f"methods.lora.peft.r={rank}"] for rank in (8, 32, 128)},
    **{f"learning rate {rate}": [f"train.learning_rate={rate}"] for rate in ("3.5e-4", "1.4e-3")},
    **{f"method {name}": [f"method={name}"] for name in ("head", "ia3", "prefix", "loraplus", "full")},
}


def every_override(overrides: list[str]) -> list[str]:
    """Return the overrides of an experiment: those of the setting after those that select the default."""
    selections = ["dataset=imdb-wheel", "model=minilm", "method=lora"]
    return [*selections, f"datasets.imdb-wheel.validation={VALIDATION}", *overrides]


def precision(params: BaseModel) -> str:
    """Return the precision in which this machine trains: bf16 or fp32."""
    return "bf16" if uses_bf16(params.train.precision, device()) else "fp32"


def training_digest(overrides: list[str]) -> str:
    """Return a digest of everything that a training with the overrides depends on.

    That is the precision and, for each stage, what dvc.yaml names: the command, the params, the code and the versions
    of the libraries. An edit of `data` after which `data` writes the same bytes changes the digest, though DVC would
    not train again.
    """
    params = params_with(every_override(overrides))
    stages, versions = pipeline(), parse_yaml(VERSIONS.read_text(encoding="utf-8"))
    settings, files = {"precision": precision(params)}, set()
    for name in STAGES:
        declared = stages[name]
        libraries = [name for entry in declared["params"] if isinstance(entry, dict) for name in entry[VERSIONS.name]]
        settings[name] = {
            "command": declared["cmd"],
            "params": arguments(stage_function(name), params),
            "versions": {library: versions[library] for library in libraries},
        }
        files |= {*code_paths(declared["deps"])}
    return digest_of(settings, list(files))


def train_with(name: str, overrides: list[str]) -> dict[str, str | int | float]:
    """Train with the overrides; return the setting's row of settings.csv."""
    import dvc.api

    # Before the training: the experiment is a copy of the folder as it is now.
    made_with = {"commit": current_commit(), "digest": training_digest(overrides)}
    # With the commit in its name: DVC would keep two experiments of one name that start from different commits.
    experiment = "-".join(["bench", *re.findall(r"\w+", f"{name} {made_with['commit']}")])
    options = [part for value in every_override(overrides) for part in ("-S", value)]
    command = ["dvc", "exp", "run", "--temp", "--force", "--name", experiment, *options, "train"]
    print(f"\n{name}: {' '.join(command)}", flush=True)
    if subprocess.call(command):
        raise SystemExit(f"{name}: training failed, see above")
    metrics = dvc.api.metrics_show("metrics/training.json", rev=experiment)
    columns = ("validation_accuracy", "validation_loss", "learning_rate", "trainable_parameters")
    row = {"setting": name, **{column: metrics[column] for column in columns}}
    return row | {"precision": precision(load_params())} | made_with


def read_results(path: Path) -> pd.DataFrame:
    """Read settings.csv; return an empty table if the file is missing."""
    if not path.is_file():
        return pd.DataFrame(columns=["setting", "digest"])
    return pd.read_csv(path, dtype={"commit": str, "digest": str})  # a hash may look like a number


def main() -> None:
    """Measure the settings whose rows are missing or out of date; write and print the results."""
    no_arguments("python -m benchmarks.settings", "make settings")
    part = TABLE.with_suffix(".part")
    rows = {row["setting"]: row for path in (TABLE, part) for row in read_results(path).to_dict("records")}
    stale = [name for name in SETTINGS if name not in rows or rows[name]["digest"] != training_digest(SETTINGS[name])]
    print(f"{len(stale)} of {len(SETTINGS)} settings to measure", *stale, sep="\n  ", flush=True)
    for name in stale:
        rows[name] = train_with(name, SETTINGS[name])
        write_csv(part, pd.DataFrame(rows.values()))
    measured = pd.DataFrame(rows[name] for name in SETTINGS)
    write_csv(TABLE, measured)
    part.unlink(missing_ok=True)
    draw_settings(measured, TABLE.with_suffix(".png"))
    for name, result in results(measured).items():
        write_json(TABLE.with_name(f"{name}.json"), result)
        print(f"\n\n{table(result)}")


if __name__ == "__main__":
    main()
