# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from anyecg_hf.models.anyecg.lead_quality_anyecg import RailWatch, judge_leads


def is_railed(lead_mv: np.ndarray, cuts: list[int], sampling_rate: float = 100) -> bool:
    """Verdict on a lead told in pieces."""
    watch = RailWatch(sampling_rate)
    for piece, stop in zip(np.split(lead_mv, cuts), [*cuts, len(lead_mv)], strict=True):
        watch.add(piece, np.nanmin(lead_mv[:stop]), np.nanmax(lead_mv[:stop]))
    return watch.is_railed


def is_railed_by_definition(lead_mv: np.ndarray, sampling_rate: float = 100) -> bool:
    """A fifth of the lead in runs of at least 0.1 s on its extreme values, if these are at least 1 mV from zero."""
    total = run = 0
    for sample in [*lead_mv, np.nan]:
        if sample in (np.nanmin(lead_mv), np.nanmax(lead_mv)) and abs(sample) >= 1:
            run += 1
        else:
            total, run = total + run * (run >= 0.1 * sampling_rate), 0
    return total >= 0.2 * len(lead_mv)


def test_a_railed_lead_is_found_in_whatever_pieces_it_comes():
    random = np.random.default_rng(0)
    verdicts = []
    for _ in range(300):
        # Plateaus of 1 to 30 samples, a few of which turn out not to be the highest or lowest.
        values = random.choice([-2.0, -1.0, 0.3, 0.9, 1.1, 2.0, np.nan], size=12, p=[0.1, 0.2, 0.2, 0.1, 0.2, 0.1, 0.1])
        lead = np.repeat(values, random.integers(1, 30, size=12)).astype(np.float32)
        lead[0] = 0.5
        cuts = sorted(random.choice(np.arange(1, len(lead)), size=4, replace=False))
        verdicts.append(is_railed_by_definition(lead))
        assert is_railed(lead, cuts) == is_railed(lead, []) == verdicts[-1]
    assert 50 < sum(verdicts) < 250


def test_a_run_over_the_border_of_two_pieces_is_one_run():
    lead = np.zeros(100, dtype=np.float32)
    lead[40:60] = 3.0  # 0.2 s, a fifth of the lead, in pieces that alone would be too short
    assert is_railed(lead, [48, 52])
    lead[50] = 0.0
    assert not is_railed(lead, [48, 52])


def test_a_plateau_below_a_later_peak_is_no_rail():
    lead = np.zeros(100, dtype=np.float32)
    lead[20:60] = 3.0
    assert is_railed(lead[:90], [50])
    lead[95] = 3.1
    assert not is_railed(lead, [50, 90])


def test_a_lead_has_one_reason_and_saturation_comes_last():
    reasons, notes = judge_leads(
        present=np.array([False, True, True, True, True, True]),
        spans_mv=np.array([np.nan, 0.001, 2.0, 60.0, 2.0, 1.0], dtype=np.float32),
        railed=np.array([False, False, True, True, False, False]),
        deviations_mv=np.array([0.0, 0.0, 0.0, 25.0, 0.0, 0.0]),
    )
    assert reasons == {0: "missing", 1: "flat", 2: "railed", 3: "saturated"}
    assert notes == ()


def test_amplitudes_beyond_any_ecg_in_most_live_leads_are_an_error():
    spans, railed = np.array([60.0, 60.0, 2.0], dtype=np.float32), np.zeros(3, dtype=bool)
    with pytest.raises(ValueError, match=r"deviates by 30 mV from its median in a typical lead.*\(unit='uV'\)"):
        judge_leads(np.ones(3, dtype=bool), spans, railed, np.array([25.0, 35.0, 0.0]))
