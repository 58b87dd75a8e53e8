"""Score the trained classifier on the test split, once, and compare it with the baseline.

In:  models/base/, models/adapter/, data/tokens/test.arrow, data/raw/test.parquet and data/baseline.parquet.
Out: metrics/evaluate.json, data/predictions.parquet (each text with its prediction and probabilities or interval, and
     the deciding words of the most confident mistakes), metrics/confusion.png, and the data of the plots:
     metrics/{confusion,roc,precision_recall,reliability,coverage,sets}.csv.

With LAUNCH in the environment, several processes share the batches. The bytes of the outputs stay the same.
"""

from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from classifier.distributed.devices import device, scoring_metadata, uses_bf16
from classifier.distributed.processes import Processes
from classifier.evaluation import metrics
from classifier.evaluation.scored import Scored
from classifier.evaluation.sets import decision_with_sets, set_curve, with_set_metrics
from classifier.evaluation.slices import groups_of, measure_slices
from classifier.evaluation.tasks.task import MEASURES
from classifier.files.digests import sha256_by_path
from classifier.files.formats import array_of, read_table, table_of, write_csv, write_json, write_table
from classifier.files.places import ADAPTER, BASE, BASELINE, METRICS, PREDICTIONS, RAW, TOKENS, VALIDATION
from classifier.model.forward import logits
from classifier.model.loading import load_classifier
from classifier.params.settings import Param, Settings
from classifier.predict.explanation import explain_label
from classifier.predict.threshold import rows_needed, threshold_for
from classifier.runner.run import main
from classifier.tasks.task import TASKS
from classifier.text.pairs import texts_of
from classifier.text.tokens import open_tokens

Share = Annotated[float, Field(gt=0, lt=1)]


class EvaluateSettings(Settings):
    """The section `evaluate` of params.yaml."""

    bins: Annotated[int, Field(ge=2, le=100)]
    target_accuracy: Share
    target_level: Share
    set_target: Share
    explained: Annotated[int, Field(ge=0)]
    precision: Literal["fp32", "bf16", "auto"]


def evaluate(*, settings: Annotated[EvaluateSettings, Param("evaluate")]) -> None:
    """Score the test texts, measure, explain the most confident mistakes, and write all results."""
    processes = Processes.connect()
    precision = "bf16" if uses_bf16(settings.precision, device()) else "fp32"
    check_same_inputs(processes, precision)
    model, tokenizer = load_classifier(precision)
    scores = logits(model, open_tokens("test"), "evaluate", processes).astype(np.float64)
    if not processes.is_rank_0:
        return
    raw, metadata = read_table(RAW / "test.parquet")
    measures = MEASURES[metadata["task"]]
    scored = scored_split(raw, metadata, scores, model.config, settings.bins)
    table = pd.concat([raw, table_of(scored.columns)], axis=1)  # adding hundreds of columns one by one is slow

    result = metrics_of_test(table, scored, measures, metadata.get("slices", []), settings)
    if model.config.trained.get("validation_chose_step"):
        result["validation_chose_step"] = True
    write_json(METRICS / "evaluate.json", result | {"n": len(table)} | scoring_metadata(precision))

    mistakes = measures.mistakes(table, scored.names).index[: settings.explained]
    if precision == "bf16":
        model, _ = load_classifier()  # in fp32: sums of attributions in bf16 are so inexact that more steps are taken
    explained = with_deciding_words(table, mistakes, model, tokenizer)
    write_table(PREDICTIONS, explained, task=metadata["task"], labels=scored.names, **scoring_metadata(precision))
    plots = measures.tables(scored) | {"sets": set_curve(scored, measures, settings.target_level)}
    for name, content in plots.items():
        write_csv(METRICS / f"{name}.csv", content)
    measures.draw(scored, METRICS / "confusion.png")


def scored_split(raw: pd.DataFrame, metadata: dict, scores: np.ndarray, config, bins: int) -> Scored:
    """Return the test split with its scores and the baseline's predictions.

    Args:
        raw: The test split.
        metadata: Its metadata.
        scores: The calibrated logits, (rows, names).
        config: The config of the classifier.
        bins: The number of bins of confidence.
    """
    baseline, baseline_metadata = read_table(BASELINE)
    return Scored(
        task=TASKS[metadata["task"]],
        names=metadata["labels"],
        labels=array_of(raw["label"]),
        scores=scores,
        uncalibrated=(scores - config.calibration_bias) * config.calibration_temperature,
        decision=config.decision,
        baseline=array_of(baseline["predicted"]),
        learned=baseline_metadata["learned"],
        validation=read_table(VALIDATION)[0],
        bins=bins,
    )


def check_same_inputs(processes: Processes, precision: str) -> None:
    """Raise InputError in every process if their models, token ids or precisions differ.

    Models and token ids can differ on hosts without a shared folder. The precision that `auto` chooses can differ on
    hosts with other processors.
    """
    if processes.count > 1:
        processes.check_equal(
            precision, "scores in another precision than rank 0; set evaluate.precision to fp32 or bf16 in params.yaml"
        )
        processes.check_equal(
            repr(sha256_by_path(BASE, ADAPTER, TOKENS / "test.arrow")),
            "has another model or token ids than rank 0; a folder on a shared disk is needed",
        )


def metrics_of_test(
    table: pd.DataFrame, scored: Scored, measures, slices: list[str], settings: EvaluateSettings
) -> dict[str, Any]:
    """Return the metrics of the test split, rounded.

    Args:
        table: The test split with the columns of predictions.
        scored: The scored test split.
        measures: The module of the task in classifier/evaluation/tasks/.
        slices: The columns whose values are measured apart.
        settings: The section `evaluate` of params.yaml.
    """
    level = settings.target_level
    per_row = measures.paired_values(table, scored.names)
    result = measures.metrics(scored) | without_overlap(table, scored) | measures.against_baseline(scored)
    if "confidence" in scored.columns:
        right = measures.row_quality(table).to_numpy()
        result["above_threshold"] = above_threshold(scored, right, settings.target_accuracy, level)
    decision = decision_with_sets(scored, settings.set_target, level)
    result = with_set_metrics(result, scored, measures, decision, settings.set_target, level)
    if decision:
        per_row["set_coverage"] = pd.Series(measures.covered(scored, decision))
    unrounded = {name: result[name] for name in ("mcnemar_p",) if name in result}  # a small p would become 0
    by_slice = measure_slices(per_row, groups_of(table, slices), measures.calibrated(scored), settings.bins)
    return metrics.rounded(result) | unrounded | by_slice


def without_overlap(table: pd.DataFrame, scored: Scored) -> dict[str, float]:
    """Return the score on the texts of an official test split that the source's train split does not hold."""
    if "in_train" not in table or table["in_train"].all():
        return {}
    new = ~table["in_train"].to_numpy()
    return {f"{scored.task.SCORE}_without_overlap": scored.task.score(scored.labels[new], scored.predicted[new])}


def above_threshold(scored: Scored, right: np.ndarray, target: float, level: float) -> dict[str, float]:
    """Return the confidence threshold that validation shows to reach the target, and its coverage and accuracy on test.

    If validation shows no threshold, the result has only the target, the level and the number of texts needed.

    Args:
        scored: The test split.
        right: Whether each answer is right, (rows,).
        target: The accuracy to reach.
        level: The highest chance that the threshold misses it.
    """
    result = {"target": target, "level": level, "validation_texts_needed": rows_needed(target, level)}
    if (threshold := threshold_for(target, level)) is None:
        return result
    return result | {"threshold": threshold} | metrics.metrics_above(threshold, scored.columns["confidence"], right)


def with_deciding_words(table: pd.DataFrame, rows: pd.Index, model, tokenizer) -> pd.DataFrame:
    """Return the table with the column decided_by: the deciding words of these rows, and "" for others."""
    words = [explain_label(model, tokenizer, text).summary for text in texts_of(table.loc[rows])]
    table = table.assign(decided_by="")
    table.loc[rows, "decided_by"] = words
    return table


if __name__ == "__main__":
    main(evaluate, distributed=True, uses_model=True)
