# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Storage and voltages of leads, measured block by block."""

import numpy as np
import pytest

from anyecg_hf.records import ArraySource, ECGRecord, open_record
from anyecg_hf.records.lead_summary import LeadSummary, summarize_signal


def source_of(signal_mv, rate: float) -> ArraySource:
    return ArraySource.from_record(ECGRecord(np.asarray(signal_mv), rate, ("I", "II", "V1", "V2")[: len(signal_mv)]))


def test_storage_is_that_of_the_file(write_wfdb, counts):
    with open_record(write_wfdb(counts, gains=["1000(-7)/mV", "500/uV"])) as source:
        summary = summarize_signal(source)
    expected = (counts[0].astype(np.float64) + 7) / 1000
    assert summary.dtype == "int16"
    assert summary.leads[0] == LeadSummary(
        *("I", 1000.0, -7.0, "mV", -32768),
        min_mv=float(np.float32(expected.min())),
        max_mv=float(np.float32(expected.max())),
        typical_range_mv=float(np.ptp(np.float32(expected))),
        missing_share=0.0,
    )
    assert (summary.leads[1].gain, summary.leads[1].unit, summary.leads[1].missing_share) == (500.0, "uV", 1 / 300)


@pytest.mark.parametrize("rate", [10.0, 9.7, 0.4])
@pytest.mark.parametrize("seconds", [0.3, 1, 7.5, 61, 130])
def test_voltages_are_those_of_the_whole_record(rate, seconds):
    n_samples = max(1, round(rate * seconds))
    signal_mv = np.random.default_rng(0).normal(size=(2, n_samples)).astype(np.float32)
    signal_mv[1, :: max(2, n_samples // 3)] = np.nan
    leads = summarize_signal(source_of(signal_mv, rate)).leads
    second = max(1, round(rate))
    for lead, row in zip(leads, signal_mv, strict=True):
        ranges = [np.ptp(part[~np.isnan(part)]) for part in np.split(row, range(second, n_samples, second))
                  if not np.isnan(part).all()]  # fmt: skip
        if not ranges:
            assert (lead.min_mv, lead.max_mv, lead.typical_range_mv) == (None, None, None)
            continue
        assert (lead.min_mv, lead.max_mv) == (np.nanmin(row), np.nanmax(row))
        assert lead.typical_range_mv == pytest.approx(np.median(ranges), rel=1e-6)
        assert lead.missing_share == np.isnan(row).mean()


def test_a_rate_beyond_the_record_takes_no_memory_for_a_second():
    (lead,) = summarize_signal(source_of([[0.0, 1.0, -1.0]], 1e300)).leads
    assert (lead.min_mv, lead.max_mv, lead.typical_range_mv) == (-1.0, 1.0, 2.0)


def test_one_jump_does_not_pass_for_the_range_of_a_lead():
    signal_mv = np.tile([[0.0, 1.0]], 50)
    signal_mv[0, 30:] += 8
    (lead,) = summarize_signal(source_of(signal_mv, 10)).leads
    assert (lead.max_mv, lead.typical_range_mv) == (9.0, 1.0)


def test_flat_and_missing_leads_are_told_apart():
    signal_mv = np.stack([np.full(20, 0.25), np.full(20, np.nan), np.arange(20.0)])
    signal_mv[0, 3] = np.nan
    flat, missing, real = summarize_signal(source_of(signal_mv, 10)).leads
    assert (flat.is_flat, flat.min_mv, flat.typical_range_mv, flat.missing_share) == (True, 0.25, 0.0, 0.05)
    assert (missing.is_flat, missing.min_mv, missing.max_mv, missing.missing_share) == (False, None, None, 1.0)
    assert not real.is_flat
