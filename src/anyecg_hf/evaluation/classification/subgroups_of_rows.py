# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The main figure of every row in parts of the test records: by sex, age band and corpus."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ..evaluation_configs import BootstrapConfig
from ..metrics import AGE_BANDS, age_bands, bootstrap_rows
from ..metrics.subgroups import UNKNOWN
from .figures import Protocol, RowScores, figure_interval
from .task_splits import TaskSplit

_SEXES = {0: "male", 1: "female", None: UNKNOWN}


def groups_of(split: TaskSplit) -> dict[str, list[str]]:
    """
    Which subgroups records belong to.

    Args:
        split ([`TaskSplit`]): The records.

    Returns:
        `dict[str, list[str]]`: `sex`, `age` and `corpus` -> the group of every record.
    """
    return {
        "sex": [_SEXES[sex] for sex in split.facts["sex"]],
        "age": age_bands(split.facts["age_years"]),
        "corpus": list(split.facts["corpus"]),
    }


def subgroup_figures(
    protocol: Protocol, rows: Sequence[RowScores], split: TaskSplit, config: BootstrapConfig
) -> dict[str, dict[str, Any]]:
    """
    Subgroup tables.

    Args:
        protocol ([`Protocol`]): The main figure.
        rows (`Sequence[RowScores]`): Rows of the table.
        split ([`TaskSplit`]): The test records.
        config ([`BootstrapConfig`]): Intervals, and how small a group may be.

    Returns:
        `dict[str, dict]`: `sex`, `age`, `corpus` -> group -> `records`, `patients`, `left_out` (classes with too few
        positives or negatives there; figures of two groups compare only over the same classes), `note` (why there is no
        figure) and by row the figure with its interval.
    """
    found: dict[str, dict[str, Any]] = {}
    for dimension, names in groups_of(split).items():
        order = AGE_BANDS if dimension == "age" else sorted(set(names), key=lambda name: (name == UNKNOWN, name))
        found[dimension] = {
            name: _group(protocol, rows, split, np.flatnonzero(np.array(names) == name), config) for name in order
        }
    return found


def _group(
    protocol: Protocol, rows: Sequence[RowScores], split: TaskSplit, members: np.ndarray, config: BootstrapConfig
) -> dict[str, Any]:
    everyone = split.patients
    labels, patients = split.labels[members], [everyone[member] for member in members]
    scarce = np.minimum((labels == 1).sum(axis=0), (labels == 0).sum(axis=0)) < max(config.min_of_each, 1)
    names = protocol.task.class_names
    group = {
        "records": len(members),
        "patients": len(set(patients)),
        "left_out": [name for name, is_scarce in zip(names, scarce, strict=True) if is_scarce],
        "note": _why_no_figure(len(members), scarce, config),
        "rows": {},
    }
    if group["note"]:
        return group
    draws = list(bootstrap_rows(len(members), groups=patients, resamples=config.resamples, seed=config.seed))
    kept = np.flatnonzero(~scarce)
    labels = labels[:, kept]
    for row in rows:
        said = [scores[np.ix_(members, kept)] for scores in row.test]
        estimate = np.mean([protocol.main_figure(labels, scores) for scores in said])
        values = [np.mean([protocol.main_figure(labels[drawn], scores[drawn]) for scores in said]) for drawn in draws]
        interval = figure_interval(float(estimate), np.array(values), config.confidence)
        group["rows"][row.name] = None if interval is None else asdict(interval)
    return group


def _why_no_figure(records: int, scarce: np.ndarray, config: BootstrapConfig) -> str:
    if records < config.min_records:
        return f"{records} records, fewer than {config.min_records}" if records else "no records"
    return f"no class with at least {config.min_of_each} positives and negatives" if scarce.all() else ""


__all__ = ["groups_of", "subgroup_figures"]
