# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json
from dataclasses import replace

import numpy as np
import pytest

from anyecg_hf import TINY
from anyecg_hf.pipelines import RecordAnalyzer
from anyecg_hf.pipelines.analysis_report import analysis_to_dict
from anyecg_hf.web.samples import simulated_record


def test_everything_but_the_waveforms_survives_json():
    record = simulated_record("mine", 6, 70, 1)
    signal_mv = record.signal_mv.copy()
    signal_mv[7] = 0.0
    with pytest.warns(UserWarning, match="V2"):
        analysis = RecordAnalyzer(TINY).analyse(replace(record, signal_mv=signal_mv))
    found = json.loads(json.dumps(analysis_to_dict(analysis, 0.25)))
    assert (found["record"], found["sampling_rate"], found["samples"], found["duration_s"]) == ("mine", 500, 3000, 6.0)
    assert found["lead_names"] == list(record.lead_names) and found["cleaning"] == list(analysis.cleaned.steps)
    assert found["unusable_leads"] == [{"index": 7, "lead": "V2", "reason": "flat"}]
    assert found["scale_mv"] == analysis.cleaned.scale and found["masked_patches"] == 0 and found["windows"] == 1
    np.testing.assert_array_equal(found["codes"], analysis.codes)
    assert found["patch_s"] == 0.25
    assert [(each["label"], each["probability"], each["threshold"]) for each in found["classes"]] == [
        (each.label, each.probability, each.threshold) for each in analysis.classes
    ]
