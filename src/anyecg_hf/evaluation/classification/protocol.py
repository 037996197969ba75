# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Evaluating a classification task: the whole protocol, from a configuration to `results.json`.

    python -m anyecg_hf.evaluation.classification.protocol --config superclass.yaml

or `anyecg evaluate --config superclass.yaml`.
"""

import dataclasses
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...environment import installed_versions
from ...training.config_files import parse_config
from ...training.label_tasks import label_task
from ...training.run_folder import library_versions
from ...training.sources import window_patches
from ..checkpoints import evaluation_device, refuse_seen_records
from ..evaluation_configs import ROWS, EvaluationConfig
from ..metrics import reliability_curve, top_class_reliability
from ..results_folder import new_results_folder
from .figures import (
    CALIBRATION,
    CLASS_FIGURES,
    Protocol,
    RowFigures,
    RowScores,
    class_figure,
    difference_interval,
    figure_interval,
    row_figures,
)
from .result_files import write_results
from .robustness import RobustnessTest
from .subgroups_of_rows import subgroup_figures
from .table_rows import TITLES, FittedRow, Models, RowFitter, checkpoint_classes, load_models
from .task_splits import TaskData, load_task_data

logger = logging.getLogger(__name__)

# Rows that every other row is compared with, where they exist.
REFERENCES = ("finetuned", "probe")


def evaluate(config: EvaluationConfig) -> dict[str, Any]:
    """
    Evaluates checkpoints on a classification task, beside the rows that belong to it, and writes `results.json`,
    `results.md` and plots into `config.output_dir`.

    Args:
        config ([`EvaluationConfig`]): What to evaluate, and on what.

    Returns:
        `dict`: what `results.json` holds.

    Raises:
        [`LeakError`]: if a patient, a record (also under the name that another corpus gives it) or a signal is among
            the test records and among those of training or validation, here or when a checkpoint was trained.
        `ValueError`: if `output_dir` holds results and `overwrite` is not set; as [`load_task_data`] and
            [`load_models`].

    Example:

    ```python
    >>> config = load_config(EvaluationConfig, "superclass.yaml", checkpoint="runs/superclass/final")
    >>> evaluate(config)["rows"]["finetuned"]["figures"]["macro_auroc"]
    ```
    """
    folder = new_results_folder(config)
    clock = _Clock()
    device = evaluation_device(config)
    task = label_task(config.task)
    with clock.part("models"):
        models = load_models(config, device)
        classes = checkpoint_classes(models, task)
    with clock.part("records"):
        data = load_task_data(config.data, models.tokenizer, task, config.task.drop_rare, classes)
        seen = {name: refuse_seen_records(name, data.test.keys) for name in _checkpoints(config)}
    patches = window_patches(config.data, models.tokenizer)
    fitter = RowFitter(config, models, data, patches, device)
    names = [name for name in ROWS if name in config.rows]
    missing = {name: fitter.why_not(name) for name in names if fitter.why_not(name)}
    missing |= dict.fromkeys((name for name in ROWS if name not in config.rows), "not in `rows`")
    fitted: dict[str, FittedRow] = {}
    scores: dict[str, RowScores] = {}
    for name in (name for name in names if name not in missing):
        logger.info("%s: %s", data.task.name, TITLES[name])
        with clock.part(name):
            fitted[name] = fitter.fit(name)
            scores[name] = fitted[name].scores(data)
    if not scores:
        raise ValueError(f"there is no row to compute: {missing}.")
    protocol = Protocol(data.task)
    results = _results(config, models, data, protocol, fitted, scores, missing, clock)
    results["models"]["trained_on"] = seen
    with clock.part("robustness"):
        test = RobustnessTest(config.robustness, config.bootstrap, protocol, data, models.tokenizer, patches)
        tested = [fitted[name] for name in fitted if name in config.robustness.rows]
        results["robustness"] = test.run(tested, scores) if tested else []
    results["seconds"] = clock.seconds
    write_results(results, folder)
    return results


def _checkpoints(config: EvaluationConfig) -> list[str]:
    return [*config.checkpoints, *([] if config.pretrained is None else [config.pretrained])]


def _results(
    config: EvaluationConfig,
    models: Models,
    data: TaskData,
    protocol: Protocol,
    fitted: dict[str, FittedRow],
    scores: dict[str, RowScores],
    missing: dict[str, str],
    clock: "_Clock",
) -> dict[str, Any]:
    bootstrap = config.bootstrap
    with clock.part("intervals"):
        figures = row_figures(
            protocol,
            list(scores.values()),
            data.validation.labels,
            data.test.labels,
            data.test.patients,
            bootstrap.resamples,
            bootstrap.seed,
        )
        subgroups = subgroup_figures(protocol, list(scores.values()), data.test, bootstrap)
    rows = {
        name: {
            "title": TITLES[name],
            "seeds": list(scores[name].seeds),
            "notes": fitted[name].notes,
            **_row(protocol, found, bootstrap.confidence),
            "reliability": _reliability(protocol, data.test.labels, scores[name].test),
        }
        for name, found in figures.items()
    }
    return {
        "task": {
            "name": data.task.name,
            "problem_type": data.task.problem_type,
            "classes": list(data.task.class_names),
            "left_out": data.left_out,
            "main_figure": protocol.main,
        },
        "settings": dataclasses.asdict(config),
        "versions": {**library_versions(), **installed_versions(["scikit-learn"])},
        "models": models.describe(),
        "data": {name: getattr(data, name).describe(data.task.class_names) for name in ("train", "validation", "test")},
        "dropped_training_records": data.facts.dropped,
        "rows": rows,
        "missing_rows": missing,
        "differences": {
            name: _differences(protocol, figures, name, bootstrap.confidence) for name in REFERENCES if name in figures
        },
        "subgroups": subgroups,
    }


def _row(protocol: Protocol, found: RowFigures, confidence: float) -> dict[str, Any]:
    def entry(name: str) -> dict[str, Any] | None:
        place = protocol.all_names.index(name)
        interval = figure_interval(found.mean[place], found.resampled[:, place], confidence)
        if interval is None:
            return None
        spread = found.spread[place]
        if name == CALIBRATION:
            interval = dataclasses.replace(interval, low=max(interval.low, 0.0))
        return {
            **dataclasses.asdict(interval),
            "by_seed": found.estimates[:, place].tolist(),
            "standard_deviation": None if np.isnan(spread) else float(spread),
        }

    return {
        "figures": {name: entry(name) for name in protocol.names},
        "classes": {
            name: {
                **{figure: entry(class_figure(figure, name)) for figure in CLASS_FIGURES},
                "thresholds": [None if cuts is None else float(cuts[column]) for cuts in found.thresholds],
            }
            for column, name in enumerate(protocol.task.class_names)
        },
    }


def _differences(
    protocol: Protocol, figures: dict[str, RowFigures], reference: str, confidence: float
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, other in figures.items():
        if name == reference:
            continue
        intervals = {
            figure: difference_interval(figures[reference], other, place, confidence)
            for place, figure in enumerate(protocol.names)
        }
        found[name] = {figure: None if item is None else dataclasses.asdict(item) for figure, item in intervals.items()}
    return found


def _reliability(protocol: Protocol, labels: np.ndarray, said: Sequence[np.ndarray]) -> dict[str, list[Any]]:
    """Of all classes and seeds together, or of the most likely class."""
    labels, probabilities = np.concatenate([labels] * len(said)), np.concatenate(said)
    if protocol.task.is_multi_label:
        known = ~np.isnan(labels)
        curve = reliability_curve(labels[known], probabilities[known])
    else:
        curve = top_class_reliability(labels, probabilities)
    return {
        "edges": curve.edges.tolist(),
        "counts": curve.counts.tolist(),
        "mean_probabilities": [None if np.isnan(value) else value for value in curve.mean_probabilities.tolist()],
        "shares": [None if np.isnan(value) else value for value in curve.shares.tolist()],
    }


class _Clock:
    """How long each part took."""

    def __init__(self):
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - start, 1)


if __name__ == "__main__":
    evaluate(parse_config(EvaluationConfig, sys.argv[1:]))


__all__ = ["REFERENCES", "evaluate"]
