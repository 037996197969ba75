# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

from dataclasses import replace

import numpy as np
import pytest

from anyecg_hf import TINY, AnyECGForLeadReconstruction, AnyECGTokenizer
from anyecg_hf.pipelines import RecordAnalyzer
from anyecg_hf.pipelines.lead_restoration import load_restorer, restore_leads
from anyecg_hf.records import ECGRecord
from anyecg_hf.web.samples import LEADS, simulated_record

NAMES = tuple(LEADS)


@pytest.fixture(scope="module")
def restorer() -> AnyECGForLeadReconstruction:
    return load_restorer(TINY)


@pytest.fixture(scope="module")
def tokenizer() -> AnyECGTokenizer:
    return AnyECGTokenizer.from_pretrained(TINY)


@pytest.fixture(scope="module")
def record() -> ECGRecord:
    return simulated_record("a", 10, 70, 1)


@pytest.fixture(scope="module")
def cleaned(tokenizer, record):
    return tokenizer.clean(record)


def test_a_limb_lead_follows_from_two_others(restorer, tokenizer, cleaned):
    (restored,) = restore_leads(restorer, tokenizer, cleaned, [NAMES.index("aVR")])
    assert (restored.index, restored.name) == (3, "aVR")
    assert restored.restored_mv.shape == restored.cleaned_mv.shape == (3000,)
    np.testing.assert_allclose(restored.restored_mv, restored.cleaned_mv, atol=0.05)
    assert restored.agreement.pearson_r > 0.999 and restored.agreement.psnr_db > 50
    error_mv = np.abs(restored.restored_mv - restored.cleaned_mv).mean()
    assert restored.agreement.mean_absolute_error_mv == pytest.approx(error_mv, rel=1e-4)


def test_a_chest_lead_is_close(restorer, tokenizer, cleaned):
    (restored,) = restore_leads(restorer, tokenizer, cleaned, [NAMES.index("V3")])
    assert 0.97 < restored.agreement.pearson_r < 1


def test_several_leads_come_in_the_order_of_the_record_each_once(restorer, tokenizer, cleaned):
    assert [lead.index for lead in restore_leads(restorer, tokenizer, cleaned, [9, 2, 9])] == [2, 9]


def test_nothing_of_a_lead_that_is_taken_out_reaches_the_model(restorer, tokenizer, record):
    # Twelve times as large, it would move the recording scale, and with it every number that the model sees.
    louder = record.signal_mv.copy()
    louder[8] *= -12
    answers = []
    for signal_mv in (record.signal_mv, louder):
        cleaned = tokenizer.clean(replace(record, signal_mv=signal_mv))
        answers.append(restore_leads(restorer, tokenizer, cleaned, [8])[0].restored_mv)
    np.testing.assert_allclose(answers[0], answers[1], atol=2e-3)


def test_an_unusable_lead_is_restored_with_nothing_to_compare(restorer, tokenizer, record):
    signal_mv = record.signal_mv.copy()
    signal_mv[7] = 0.0
    with pytest.warns(UserWarning, match=r"V2 \(flat\)"):
        cleaned = tokenizer.clean(replace(record, signal_mv=signal_mv))
    (restored,) = restore_leads(restorer, tokenizer, cleaned, [7])
    assert restored.agreement is None and np.isnan(restored.cleaned_mv).all()
    original_mv = tokenizer.clean(record)
    original_mv = original_mv.patches[7].ravel() * original_mv.scale
    assert np.corrcoef(restored.restored_mv, original_mv)[0, 1] > 0.97


def test_where_no_other_lead_is_there_nothing_is_restored_and_nothing_scored(restorer, tokenizer, record):
    signal_mv = record.signal_mv.copy()
    signal_mv[:, 1000:2000] = np.nan
    signal_mv[8, 3000:3500] = np.nan
    with pytest.warns(UserWarning, match="missing samples are interpolated and 100 patches masked"):
        cleaned = tokenizer.clean(replace(record, signal_mv=signal_mv))
    (restored,) = restore_leads(restorer, tokenizer, cleaned, [8])
    gap = ~np.repeat(cleaned.patch_mask[:8].any(axis=0), 75)
    assert gap.sum() >= 600
    np.testing.assert_array_equal(np.isnan(restored.restored_mv), gap)
    # Where only the lead itself is missing it is restored, and there is nothing to compare with.
    assert np.isnan(restored.cleaned_mv).sum() > gap.sum()
    assert restored.agreement.pearson_r > 0.97


def test_a_long_record_is_restored_in_windows(restorer, tokenizer):
    cleaned = tokenizer.clean(simulated_record("a", 24, 70, 1))
    (restored,) = restore_leads(restorer, tokenizer, cleaned, [8])
    assert restored.restored_mv.shape == (7200,) and np.isfinite(restored.restored_mv).all()
    assert restored.agreement.pearson_r > 0.97
    # The second of three windows, by itself.
    window = replace(cleaned, patches=cleaned.patches[:, 32:64], patch_mask=cleaned.patch_mask[:, 32:64])
    alone = restore_leads(restorer, tokenizer, window, [8])[0].restored_mv
    assert np.corrcoef(alone, restored.restored_mv[2400:4800])[0, 1] > 0.999


@pytest.mark.parametrize(
    ("leads", "told"),
    [
        ([], r"name leads from 0 to 11 to take out, got \[\]\."),
        ([12], r"name leads from 0 to 11 to take out, got \[12\]\."),
        ([-1], r"got \[-1\]"),
        (list(range(12)), "no usable lead is left to restore from: take fewer leads out"),
    ],
)
def test_leads_that_cannot_be_taken_out_are_refused(restorer, tokenizer, cleaned, leads, told):
    with pytest.raises(ValueError, match=told):
        restore_leads(restorer, tokenizer, cleaned, leads)


def test_a_lead_without_a_name_is_refused(restorer, tokenizer, record):
    cleaned = tokenizer.clean(replace(record, lead_names=("unknown", *NAMES[1:])))
    with pytest.raises(ValueError, match=r"leads \[0\] are called 'unknown': of such leads nothing is known"):
        restore_leads(restorer, tokenizer, cleaned, [0, 1])


def test_a_checkpoint_without_the_head_is_refused(tmp_path):
    RecordAnalyzer(TINY).backbone.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="has no head that restores leads: what it restored would be random"):
        load_restorer(tmp_path)


@pytest.mark.gpu
def test_on_a_gpu_it_restores_the_same(restorer, tokenizer, cleaned):
    expected = restore_leads(restorer, tokenizer, cleaned, [8])[0].restored_mv
    found = restore_leads(load_restorer(TINY, "cuda"), tokenizer, cleaned, [8])[0].restored_mv
    np.testing.assert_allclose(found, expected, atol=2e-3)
