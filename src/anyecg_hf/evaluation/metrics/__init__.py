# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Metrics: numbers from arrays, with bootstrap intervals over records or patients."""

from .calibration import (
    ReliabilityCurve,
    macro_calibration_error,
    per_class_calibration_error,
    reliability_curve,
    top_class_calibration_error,
    top_class_reliability,
)
from .challenge import ChallengeRewards, challenge_rewards, challenge_score, read_rewards
from .checks import (
    PROBLEM_TYPES,
    check_finite,
    check_labels,
    check_problem_type,
    check_single_labels,
    highest_class,
    one_hot,
)
from .decisions import accuracy, best_thresholds, macro_f1, per_class_accuracy, per_class_f1, weighted_f1
from .intervals import (
    Interval,
    bootstrap_interval,
    bootstrap_rows,
    mean_interval,
    paired_bootstrap_difference,
    percentile_interval,
    whole_rows,
)
from .ranking import macro_auprc, macro_auroc, per_class_auprc, per_class_auroc
from .subgroups import AGE_BANDS, SubgroupRow, age_bands, subgroup_table
from .waveforms import mean_absolute_error_mv, peak_to_peak_mv, pearson_r, psnr_db, ssim

__all__ = [
    "AGE_BANDS",
    "PROBLEM_TYPES",
    "ChallengeRewards",
    "Interval",
    "ReliabilityCurve",
    "SubgroupRow",
    "accuracy",
    "age_bands",
    "best_thresholds",
    "bootstrap_interval",
    "bootstrap_rows",
    "challenge_rewards",
    "challenge_score",
    "check_finite",
    "check_labels",
    "check_problem_type",
    "check_single_labels",
    "highest_class",
    "macro_auprc",
    "macro_auroc",
    "macro_calibration_error",
    "macro_f1",
    "mean_absolute_error_mv",
    "mean_interval",
    "one_hot",
    "paired_bootstrap_difference",
    "peak_to_peak_mv",
    "pearson_r",
    "per_class_accuracy",
    "per_class_auprc",
    "per_class_auroc",
    "per_class_calibration_error",
    "per_class_f1",
    "percentile_interval",
    "psnr_db",
    "read_rewards",
    "reliability_curve",
    "ssim",
    "subgroup_table",
    "top_class_calibration_error",
    "top_class_reliability",
    "weighted_f1",
    "whole_rows",
]
