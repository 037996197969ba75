# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A [`RecordAnalysis`] as plain Python, for JSON."""

from typing import Any

from .record_analysis import RecordAnalysis


def analysis_to_dict(analysis: RecordAnalysis, patch_seconds: float) -> dict[str, Any]:
    """
    Everything but the waveforms, in plain Python.

    Args:
        analysis ([`RecordAnalysis`]): What a checkpoint says about a record.
        patch_seconds (`float`): Length of a patch in seconds.

    Returns:
        `dict[str, Any]`
    """
    record, cleaned = analysis.record, analysis.cleaned
    return {
        "record": record.record_id,
        "lead_names": list(record.lead_names),
        "sampling_rate": record.sampling_rate,
        "samples": record.n_samples,
        "duration_s": record.duration_s,
        "cleaning": list(cleaned.steps),
        "scale_mv": cleaned.scale,
        "unusable_leads": [
            {"index": lead, "lead": record.lead_names[lead], "reason": why}
            for lead, why in sorted(cleaned.unusable.items())
        ],
        "masked_patches": cleaned.masked_patches,
        "patch_s": patch_seconds,
        "codes": analysis.codes.tolist(),
        "windows": analysis.windows,
        "classes": [
            {
                "label": found.label,
                "description": found.description,
                "probability": found.probability,
                "threshold": found.threshold,
            }
            for found in analysis.classes
        ],
    }


__all__ = ["analysis_to_dict"]
