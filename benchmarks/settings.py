"""Measure what a setting gains: train the embedded default once with each setting, score 2,000 validation reviews.

    make settings

Each setting is one DVC experiment, which DVC runs in a temporary folder, so this folder stays as it is. The test split
is not scored.

Out: settings.csv, and settings.png with the ranks and the learning rates, both written at the end. A row has the
precision, the commit and a digest of everything that its training depended on. A row whose digest is the current one is
not measured again. settings.part keeps the rows of a run that was stopped.
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pandas as pd
from pydantic import BaseModel

from benchmarks.record import current_commit
from classifier.distributed.devices import device, trains_in_bf16
from classifier.evaluation.figures import new_figure, save_figure
from classifier.evaluation.intervals import wilson_interval
from classifier.files.digests import digest_of
from classifier.files.formats import write_csv
from classifier.runner.command import no_arguments
from classifier.runner.inputs import code_paths, pipeline
from classifier.runner.params import PARAMS, arguments, load_params, stage_function
from classifier.runner.versions import VERSIONS

RESULTS = Path(__file__).with_name("settings.csv")
STAGES = ("data", "base_model", "tokenize", "train")  # the stages that a training runs
VALIDATION = 2000  # reviews; more than the default has, so that the standard error is 0.7 points
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
    return "bf16" if trains_in_bf16(params.train.precision, device()) else "fp32"


def training_digest(overrides: list[str]) -> str:
    """Return a digest of everything that a training with the overrides depends on.

    That is the precision and, for each stage, what dvc.yaml names: the command, the params, the code and the versions
    of the libraries. An edit of `data` after which `data` writes the same bytes changes the digest, though DVC would
    not train again.
    """
    from dvc.utils.hydra import apply_overrides
    from ruamel.yaml import YAML

    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(PARAMS, folder))
        apply_overrides(path, every_override(overrides))
        params = load_params(path)
    stages, versions = pipeline(), YAML(typ="safe", pure=True).load(VERSIONS)
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


def interval(accuracy: float) -> tuple[float, float]:
    """Return the 95% interval of an accuracy on the validation split."""
    return wilson_interval(round(accuracy * VALIDATION), VALIDATION)


def default_rank(results: pd.DataFrame) -> pd.Series:
    """Return a mask of the row that measures the default rank.

    The trainings with another learning rate keep the default rank. So the default rank is the one that has as many
    trainable parameters as these trainings.
    """
    is_rank = results["setting"].str.startswith("rank ")
    is_learning_rate = results["setting"].str.startswith("learning rate ")
    parameters = results["trainable_parameters"]
    return is_rank & parameters.isin(parameters[is_learning_rate])


def draw_settings(results: pd.DataFrame, path: Path) -> None:
    """Draw validation accuracy with its interval against the rank and, in a second panel, the learning rate."""
    ranks = results[results["setting"].str.startswith("rank ")]
    rates = pd.concat([results[default_rank(results)], results[results["setting"].str.startswith("learning rate ")]])
    fig, panels = new_figure(9, 3.6, columns=2)
    panels[0].sharey(panels[1])
    for axes, rows, values, label in (
        (panels[0], ranks, ranks["setting"].str.removeprefix("rank ").astype(int), "rank (alpha stays 32)"),
        (panels[1], rates, rates["learning_rate"], "learning rate"),
    ):
        rows = rows.assign(value=values).sort_values("value")
        bounds = rows["validation_accuracy"].map(interval)
        gaps = [rows["validation_accuracy"] - bounds.str[0], bounds.str[1] - rows["validation_accuracy"]]
        axes.errorbar(rows["value"], rows["validation_accuracy"], gaps, fmt="o-", color="black", capsize=3)
        axes.set_xscale("log", base=2)
        axes.set_xticks(rows["value"], [f"{value:g}" for value in rows["value"]], minor=False)
        axes.set(xlabel=label, ylabel="validation accuracy")
        axes.yaxis.set_major_formatter("{x:.1%}")
    save_figure(fig, path)


def tables(results: pd.DataFrame) -> tuple[str, str]:
    """Return the two tables of docs/settings.md: LoRA's ranks and learning rates; LoRA beside the other methods."""
    results = results.assign(
        accuracy=[
            f"{accuracy:.1%} ({100 * low:.1f} to {100 * high:.1f})"
            for accuracy, (low, high) in zip(
                results["validation_accuracy"], results["validation_accuracy"].map(interval), strict=True
            )
        ],
        trained=results["trainable_parameters"].map("{:,}".format),
        loss=results["validation_loss"].map("{:.3f}".format),
        rate=results["learning_rate"].map("{:g}".format),
    )
    methods = results["setting"].str.startswith("method ")
    default = default_rank(results)
    titles = {
        "setting": "setting",
        "trained": "trainable parameters",
        "rate": "learning rate",
        "accuracy": "validation accuracy (95% interval)",
        "loss": "log loss",
        "precision": "precision",
        "commit": "commit",
    }
    lora = results[~methods]
    by_method = results.assign(setting=results["setting"].mask(default, "method lora"))[methods | default]
    by_method = by_method.sort_values("trainable_parameters")
    return tuple(
        rows[list(titles)]
        .rename(columns=titles)
        .to_markdown(index=False, disable_numparse=True, colalign=["left", *["right"] * (len(titles) - 1)])
        for rows in (lora, by_method)
    )


def read_results(path: Path) -> pd.DataFrame:
    """Read settings.csv; return an empty table if the file is missing."""
    if not path.is_file():
        return pd.DataFrame(columns=["setting", "digest"])
    return pd.read_csv(path, dtype={"commit": str, "digest": str})  # a hash may look like a number


def main() -> None:
    """Measure the settings whose rows are missing or out of date; write and print the results."""
    no_arguments("python -m benchmarks.settings", "make settings")
    part = RESULTS.with_suffix(".part")
    rows = {row["setting"]: row for path in (RESULTS, part) for row in read_results(path).to_dict("records")}
    stale = [name for name in SETTINGS if name not in rows or rows[name]["digest"] != training_digest(SETTINGS[name])]
    print(f"{len(stale)} of {len(SETTINGS)} settings to measure", *stale, sep="\n  ", flush=True)
    for name in stale:
        rows[name] = train_with(name, SETTINGS[name])
        write_csv(part, pd.DataFrame(rows.values()))
    results = pd.DataFrame(rows[name] for name in SETTINGS)
    write_csv(RESULTS, results)
    part.unlink(missing_ok=True)
    draw_settings(results, RESULTS.with_suffix(".png"))
    print("", *tables(results), sep="\n\n")


if __name__ == "__main__":
    main()
