# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
from tests.corpora.leakage.recordings import LEADS, RATE_HZ, recording, sketch
from tests.training.written_records import ecg_counts, write_wfdb

from anyecg_hf.corpora.leakage.fingerprints import (
    SHORTEST_SKETCH_S,
    SKETCH_RATE_HZ,
    fingerprint,
    signal_fingerprint,
    signal_sketch,
)
from anyecg_hf.records import read_record


def fingerprint_of(counts: np.ndarray, gain: float = 1000.0, baseline: int = 0, leads=LEADS) -> str | None:
    return signal_fingerprint(((counts - baseline) / gain).astype(np.float32), leads[: len(counts)])


class TestSignalFingerprint:
    counts = ecg_counts(3)
    fingerprint = fingerprint_of(counts)

    @pytest.mark.parametrize("gain", [1000.0, 200.0, 4880.0, 7.3])
    @pytest.mark.parametrize("baseline", [0, -5000, 30000])
    def test_gain_and_baseline_do_not_matter(self, gain, baseline):
        assert fingerprint_of(self.counts, gain, baseline) == self.fingerprint

    def test_large_steps_are_counted_exactly_at_any_gain(self):
        counts = self.counts.copy()
        counts[:, 700:] += 9001
        assert len({fingerprint_of(counts, gain, 20000) for gain in (1000.0, 4880.0, 33.3)}) == 1

    @pytest.mark.parametrize("gain", [1000.0, 4880.0, 33.3])
    def test_samples_that_were_rescaled_once_keep_their_fingerprint(self, gain):
        rescaled = np.rint(4.88 * (self.counts // 5)).astype(np.int64)
        assert np.abs(np.diff(rescaled))[np.diff(rescaled) != 0].min() == 4
        found = fingerprint_of(rescaled)
        assert fingerprint_of(rescaled, gain, -777) == found != self.fingerprint

    def test_the_order_of_leads_does_not_matter(self):
        order = np.random.default_rng(0).permutation(12)
        assert fingerprint_of(self.counts[order], leads=[LEADS[lead] for lead in order]) == self.fingerprint

    def test_the_spelling_of_leads_does_not_matter(self):
        spelt = ["DI", "dii", "MDC_ECG_LEAD_III", "AVR", "avl", "aVF", "v1", "ECG V2", "C3", "V4", "V5", "V6"]
        assert fingerprint_of(self.counts, leads=spelt) == self.fingerprint

    def test_formats_do_not_matter(self, tmp_path):
        stored = read_record(write_wfdb(tmp_path / "stored", self.counts, gain=200.0, baseline=512))
        np.savetxt(tmp_path / "a.csv", self.counts.T / 1000, "%.3f", ",", header=",".join(LEADS), comments="")
        table = read_record(tmp_path / "a.csv", sampling_rate=500, unit="mV")
        np.save(tmp_path / "a.npy", self.counts)
        array = read_record(tmp_path / "a.npy", sampling_rate=500, unit="uV", lead_names=LEADS)
        found = {signal_fingerprint(record.signal_mv, record.lead_names) for record in (stored, table, array)}
        assert found == {self.fingerprint}

    def test_missing_samples_do_not_hide_a_copy(self):
        signals = [(self.counts - baseline) / gain for gain, baseline in ((1000.0, 0), (200.0, 9000))]
        for signal, missing in zip(signals, (np.nan, np.inf), strict=True):
            signal[2, 100:120] = missing
        one, other = (signal_fingerprint(signal.astype(np.float32), LEADS) for signal in signals)
        assert one == other != self.fingerprint

    def test_other_signals_have_other_fingerprints(self):
        changed = self.counts.copy()
        changed[4, 1000] += 1
        others = [
            fingerprint_of(ecg_counts(4)),
            fingerprint_of(changed),
            fingerprint_of(self.counts[:, :-1]),
            fingerprint_of(self.counts[:11]),
            fingerprint_of(self.counts[:, ::-1]),
            fingerprint_of(self.counts, leads=(LEADS[1], LEADS[0], *LEADS[2:])),
        ]
        assert len({self.fingerprint, *others}) == 7

    def test_a_flat_lead_adds_nothing(self):
        flat = np.vstack((self.counts[:2], np.full((1, self.counts.shape[1]), 5)))
        assert fingerprint_of(flat) == fingerprint_of(self.counts[:2])

    @pytest.mark.parametrize("value", [0.0, -16.0, np.nan])
    def test_a_flat_record_has_none(self, value):
        assert signal_fingerprint(np.full((12, 5000), value, dtype=np.float32), LEADS) is None


class TestSketch:
    signal_mv = recording(1)

    def test_it_has_one_byte_a_sample_at_50_hz_for_the_leads_that_do_not_follow_from_others(self):
        found = sketch(self.signal_mv)
        assert found.levels.dtype == np.int8 and found.levels.shape == (8, 10 * SKETCH_RATE_HZ)
        assert found.lead_names == ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
        assert found.start_s == 0.0

    def test_leads_that_follow_from_others_stay_where_these_are_missing(self):
        assert sketch(self.signal_mv[1:6], LEADS[1:6]).lead_names == LEADS[1:6]
        flat = self.signal_mv.copy()
        flat[0] = 0.0
        assert sketch(flat).lead_names == LEADS[1:]

    def test_samples_are_in_units_of_the_usual_peak(self):
        samples = sketch(self.signal_mv).samples(["V1", "I"], 100, 350)
        assert samples.shape == (2, 250) and samples.dtype == np.float32
        assert 0.8 < np.abs(samples[1]).max() < 1.3
        np.testing.assert_array_equal(samples, sketch(self.signal_mv).samples()[[2, 0], 100:350])

    def test_it_follows_the_signal_in_its_band(self):
        times_s = np.arange(5000) / RATE_HZ
        low, middle, high = (np.sin(2 * np.pi * hz * times_s) for hz in (0.5, 9.0, 40.0))
        samples = sketch((3 * low + middle + 3 * high)[None].astype(np.float32), ("I",)).samples()[0]
        expected = np.sin(2 * np.pi * 9.0 * np.arange(500) / SKETCH_RATE_HZ)
        np.testing.assert_allclose(samples[50:-50], expected[50:-50], atol=0.04)

    @pytest.mark.parametrize("change", [lambda x: 5 * x, lambda x: x + np.float32(3), lambda x: x.astype(np.float64)])
    def test_gain_baseline_and_type_do_not_matter(self, change):
        found = sketch(change(self.signal_mv)).levels
        assert np.abs(found.astype(int) - sketch(self.signal_mv).levels).max() <= 1

    def test_constant_ends_are_stripped(self):
        padded = np.pad(self.signal_mv, ((0, 0), (1000, 700)))
        padded[:, -100:] = np.nan
        found = sketch(padded)
        assert found.start_s == pytest.approx(2.0, abs=0.01)
        assert found.n_samples == pytest.approx(500, abs=1)

    def test_an_artefact_does_not_outweigh_the_beats(self):
        spoilt = self.signal_mv.copy()
        spoilt[:, 2400:2600] += 30.0
        clean, found = sketch(self.signal_mv).samples(), sketch(spoilt).samples()
        np.testing.assert_allclose(found[:, :200], clean[:, :200], atol=0.1)
        assert np.abs(found).max() <= 2.0

    def test_slow_beats_are_not_cut(self):
        slow = recording(1, beats_a_minute=36)
        assert np.abs(sketch(slow).samples()).max() < 1.9

    def test_missing_and_infinite_samples_leave_the_rest_as_it_is(self):
        gapped = self.signal_mv.copy()
        gapped[:, 1000:1100] = np.nan
        gapped[5, 4000] = np.inf
        found = sketch(gapped)
        assert found.lead_names == sketch(self.signal_mv).lead_names
        np.testing.assert_allclose(found.samples()[:, 200:], sketch(self.signal_mv).samples()[:, 200:], atol=0.05)

    def test_leads_that_are_silent_most_of_the_time_are_left_out(self):
        silent = self.signal_mv.copy()
        silent[8] = 0.0
        silent[8, 2500:] = 16.0
        assert sketch(silent).lead_names == ("I", "II", "V1", "V2", "V4", "V5", "V6")

    def test_leads_of_one_name_are_numbered(self):
        assert sketch(self.signal_mv[:3], ("unknown",) * 3).lead_names == ("unknown", "unknown 2", "unknown 3")

    @pytest.mark.parametrize("value", [0.0, 16.0, np.nan])
    def test_a_flat_record_has_none(self, value):
        assert signal_sketch(np.full((12, 5000), value, dtype=np.float32), LEADS, RATE_HZ) is None

    def test_a_short_record_has_none(self):
        samples = round(SHORTEST_SKETCH_S * RATE_HZ)
        assert signal_sketch(self.signal_mv[:, : samples - 1], LEADS, RATE_HZ) is None
        assert signal_sketch(self.signal_mv[:, :samples], LEADS, RATE_HZ) is not None
        padded = np.pad(self.signal_mv[:, : samples - 1], ((0, 0), (0, 3000)), mode="edge")
        assert signal_sketch(padded, LEADS, RATE_HZ) is None

    def test_the_signal_is_left_alone(self):
        before = self.signal_mv.copy()
        sketch(self.signal_mv)
        np.testing.assert_array_equal(self.signal_mv, before)


def test_a_fingerprint_has_both():
    signal_mv = recording(2)
    found = fingerprint(signal_mv, LEADS, RATE_HZ)
    assert found.exact == signal_fingerprint(signal_mv, LEADS)
    np.testing.assert_array_equal(found.sketch.levels, sketch(signal_mv).levels)


def test_a_flat_record_has_neither():
    found = fingerprint(np.zeros((12, 5000), dtype=np.float32), LEADS, RATE_HZ)
    assert (found.exact, found.sketch) == (None, None)
