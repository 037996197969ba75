# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
Evaluation: tasks with their protocols, metrics with intervals, the baselines to beat, added noise.

`protocols` finds the protocol of a task, in `classification`, `leads` or `annotations`; `code_reports` is about rhythm
codes. These know nothing of each other: what they share lies beside them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Loaded when asked for: numbers from arrays need neither torch nor the models.
_MODULES = {
    **dict.fromkeys(("BeatFeatures", "HandcraftedBaseline", "beat_features", "find_beats"), "baselines"),
    **dict.fromkeys(("LinearProbe", "MajorityBaseline", "ResNetBaseline", "fit_linear_probe"), "baselines"),
    **dict.fromkeys(("Interval", "best_thresholds", "bootstrap_interval", "paired_bootstrap_difference"), "metrics"),
    **dict.fromkeys(("macro_auroc", "macro_f1", "per_class_auroc", "per_class_f1"), "metrics"),
    **dict.fromkeys(("NOISE_KINDS", "add_noise"), "noise"),
    "EvaluationConfig": "evaluation_configs",
    "evaluate": "classification.protocol",
}

if TYPE_CHECKING:
    from .baselines import (
        BeatFeatures,
        HandcraftedBaseline,
        LinearProbe,
        MajorityBaseline,
        ResNetBaseline,
        beat_features,
        find_beats,
        fit_linear_probe,
    )
    from .classification.protocol import evaluate
    from .evaluation_configs import EvaluationConfig
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
    from .noise import NOISE_KINDS, add_noise


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


__all__ = [
    "NOISE_KINDS",
    "BeatFeatures",
    "EvaluationConfig",
    "HandcraftedBaseline",
    "Interval",
    "LinearProbe",
    "MajorityBaseline",
    "ResNetBaseline",
    "add_noise",
    "beat_features",
    "best_thresholds",
    "bootstrap_interval",
    "evaluate",
    "find_beats",
    "fit_linear_probe",
    "macro_auroc",
    "macro_f1",
    "paired_bootstrap_difference",
    "per_class_auroc",
    "per_class_f1",
]
