# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import numpy as np
import pytest
from tests.corpora.leakage.recordings import LEADS, RATE_HZ, recording, sketch

from anyecg_hf.corpora.leakage.sketch_comparison import Similarity, compare_sketches
from anyecg_hf.models.anyecg.signal_anyecg import resample

SIGNAL_MV = recording(1)


class TestCompare:
    def test_a_record_is_a_copy_of_itself(self):
        found = compare_sketches(sketch(SIGNAL_MV), sketch(SIGNAL_MV), 0.0)
        assert found.correlation == pytest.approx(1.0, abs=1e-6) and found.correlation <= 1.0
        assert (found.overlap_s, found.n_leads, found.is_copy) == (10.0, 8, True)
        assert found.shift_s == pytest.approx(0.0, abs=1e-9)
        assert 0.8 < found.repetition < 1.0

    @pytest.mark.parametrize("samples", [503, 1007, 2011])
    def test_the_shift_is_found_to_the_millisecond(self, samples):
        first, second = sketch(SIGNAL_MV), sketch(SIGNAL_MV[:, samples:])
        found = compare_sketches(first, second, samples / RATE_HZ + 0.02)
        assert found.shift_s == pytest.approx(samples / RATE_HZ, abs=0.0015)
        assert found.overlap_s == pytest.approx(10 - samples / RATE_HZ, abs=0.03)
        turned = compare_sketches(second, first, -samples / RATE_HZ - 0.02)
        assert turned.shift_s == pytest.approx(-samples / RATE_HZ, abs=0.0015)
        assert turned.correlation == pytest.approx(found.correlation, abs=1e-3)

    def test_shifts_count_from_the_start_of_the_record(self):
        padded = sketch(np.pad(SIGNAL_MV, ((0, 0), (777, 0))))
        found = compare_sketches(sketch(SIGNAL_MV), padded, -777 / RATE_HZ)
        assert found.shift_s == pytest.approx(-777 / RATE_HZ, abs=0.005)
        assert found.is_copy

    def test_the_leads_that_both_have_are_compared(self):
        some = sketch(SIGNAL_MV[[10, 1]], ("V5", "II"))
        assert compare_sketches(sketch(SIGNAL_MV), some, 0.0).n_leads == 2
        assert compare_sketches(sketch(SIGNAL_MV[:1], ("I",)), some, 0.0) is None

    def test_one_spoilt_lead_does_not_hide_a_copy(self):
        spoilt = SIGNAL_MV.copy()
        spoilt[7] = recording(2)[7]
        assert compare_sketches(sketch(SIGNAL_MV), sketch(spoilt), 0.0).is_copy

    def test_another_shift_is_no_match(self):
        assert compare_sketches(sketch(SIGNAL_MV), sketch(SIGNAL_MV), 0.33) is None

    def test_too_little_in_common_is_no_match(self):
        first, second = sketch(SIGNAL_MV[:, :3000]), sketch(SIGNAL_MV[:, 1700:])
        assert compare_sketches(first, second, 3.4) is None
        assert compare_sketches(first, second, 60.0) is None
        assert compare_sketches(first, second, -60.0) is None

    def test_another_recording_of_the_patient_is_no_match(self):
        assert compare_sketches(sketch(SIGNAL_MV), sketch(recording(1, session=1)), 0.0) is None

    def test_long_records_are_judged_by_their_middle(self):
        signal_mv = recording(3, seconds=400)
        changed = signal_mv.copy()
        changed[:, : 45 * RATE_HZ] = 0.001 * recording(4, seconds=45)
        found = compare_sketches(sketch(signal_mv), sketch(changed), 0.0)
        assert found.overlap_s == 400.0 and found.is_copy

    def test_it_is_the_same_both_ways(self):
        first, second = sketch(SIGNAL_MV), sketch(resample(SIGNAL_MV, RATE_HZ, 100), LEADS, 100)
        one, other = compare_sketches(first, second, 0.0), compare_sketches(second, first, 0.0)
        assert dataclasses.astuple(one) == pytest.approx(dataclasses.astuple(other), abs=2e-3)


class TestRepetition:
    @staticmethod
    def repetition(signal_mv: np.ndarray) -> float:
        return compare_sketches(sketch(signal_mv), sketch(signal_mv), 0.0).repetition

    def test_equal_beats_repeat_whatever_their_rhythm(self):
        random = np.random.default_rng(0)
        beat_s = np.cumsum(random.uniform(0.9, 1.5, 12))
        times_s = np.arange(5000) / RATE_HZ
        beats = np.exp(-0.5 * ((times_s - beat_s[:, None]) / 0.02) ** 2).sum(axis=0)
        signal_mv = np.tile(beats, (3, 1)) + random.normal(0, 0.002, (3, 5000))
        found = compare_sketches(*[sketch(signal_mv, ("II", "V1", "V2"))] * 2, 0.0)
        assert found.repetition > 0.98

    def test_noise_does_not_repeat(self):
        noise = np.random.default_rng(0).normal(size=(12, 5000)).astype(np.float32)
        assert self.repetition(noise) < 0.5

    def test_a_quieter_record_repeats_better(self):
        quiet, loud = (self.repetition(recording(1, noise_mv=noise_mv)) for noise_mv in (0.005, 0.1))
        assert loud < quiet


class TestJudgement:
    whole = Similarity(correlation=0.999, repetition=0.99, shift_s=0.0, overlap_s=10.0, n_leads=8)

    @pytest.mark.parametrize(
        ("changes", "is_copy"),
        [
            ({}, True),
            ({"repetition": 0.9985}, False),
            ({"correlation": 0.981, "repetition": 0.96}, True),
            ({"correlation": 0.979, "repetition": 0.5}, False),
            ({"overlap_s": 4.0}, True),
            ({"overlap_s": 4.0, "correlation": 0.9945, "repetition": 0.5}, False),
            ({"overlap_s": 4.0, "repetition": 0.9965}, False),
            ({"n_leads": 1, "correlation": 0.9945, "repetition": 0.5}, False),
            ({"n_leads": 1, "correlation": 0.9955, "repetition": 0.99}, True),
        ],
    )
    def test_little_in_common_must_agree_better(self, changes, is_copy):
        assert dataclasses.replace(self.whole, **changes).is_copy is is_copy
