# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Evaluation: metrics with bootstrap intervals, the linear probe and the hand-crafted baseline to beat."""

from .handcrafted import BeatFeatures, HandcraftedBaseline, beat_features, find_beats
from .metrics import (
    Interval,
    best_thresholds,
    bootstrap_interval,
    macro_auroc,
    macro_f1,
    paired_bootstrap_difference,
    per_class_auroc,
    per_class_f1,
)
from .probe import LinearProbe, fit_linear_probe

__all__ = [
    "BeatFeatures",
    "HandcraftedBaseline",
    "Interval",
    "LinearProbe",
    "beat_features",
    "best_thresholds",
    "bootstrap_interval",
    "find_beats",
    "fit_linear_probe",
    "macro_auroc",
    "macro_f1",
    "paired_bootstrap_difference",
    "per_class_auroc",
    "per_class_f1",
]
