# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt
from tests.corpora.leakage.recordings import LEADS, RATE_HZ, crowd, recording, sketch
from tests.training.written_records import ecg_counts

from anyecg_hf.corpora.leakage import near_duplicates
from anyecg_hf.corpora.leakage.fingerprints import SignalSketch, signal_sketch
from anyecg_hf.corpora.leakage.near_duplicates import NearDuplicate, find_near_duplicates
from anyecg_hf.corpora.leakage.record_links import joined_groups
from anyecg_hf.models.anyecg.signal_anyecg import resample

CROWD = crowd(30)


@dataclass(frozen=True)
class Copy:
    """What a copy of a recording has become, and how much later it starts."""

    signal_mv: np.ndarray
    leads: tuple[str, ...] = LEADS
    rate_hz: float = RATE_HZ
    later_s: float = 0.0

    @property
    def sketch(self) -> SignalSketch:
        return sketch(self.signal_mv, self.leads, self.rate_hz)


def with_rate(signal_mv: np.ndarray, rate_hz: float) -> Copy:
    return Copy(resample(signal_mv, RATE_HZ, rate_hz), rate_hz=rate_hz)


def with_leads(signal_mv: np.ndarray, *leads: str) -> Copy:
    return Copy(signal_mv[[LEADS.index(lead) for lead in leads]], leads)


def cut(signal_mv: np.ndarray, start: int, stop: int) -> Copy:
    return Copy(signal_mv[:, start:stop], later_s=start / RATE_HZ)


def filtered(signal_mv: np.ndarray, cutoff_hz, kind: str, order: int = 2) -> Copy:
    sections = butter(order, cutoff_hz, kind, fs=RATE_HZ, output="sos")
    return Copy(sosfiltfilt(sections, signal_mv, axis=1).astype(np.float32))


def all_at_once(signal_mv: np.ndarray) -> Copy:
    piece = filtered(signal_mv[:, 1231:4789], (0.5, 40.0), "bandpass").signal_mv[[7, 1, 0]]
    rounded = np.rint(5 * resample(piece, RATE_HZ, 100) / 0.01) * 0.01
    return Copy(rounded, ("V2", "II", "I"), 100, later_s=1231 / RATE_HZ)


def padded(signal_mv: np.ndarray) -> Copy:
    return Copy(np.pad(signal_mv, ((0, 0), (431, 600))), later_s=-431 / RATE_HZ)


def with_gap(signal_mv: np.ndarray) -> Copy:
    gapped = signal_mv.copy()
    gapped[:, 2000:2100] = np.nan
    gapped[3] = np.nan
    return Copy(gapped)


def with_spike(signal_mv: np.ndarray) -> Copy:
    wrapped = signal_mv.copy()
    wrapped[8, 1500:1502] = -32.768
    return Copy(wrapped)


COPIES = {
    "100 Hz": lambda signal_mv: with_rate(signal_mv, 100),
    "257 Hz": lambda signal_mv: with_rate(signal_mv, 257),
    "360 Hz": lambda signal_mv: with_rate(signal_mv, 360),
    "five times the gain": lambda signal_mv: Copy(5 * signal_mv),
    "another gain in every lead": lambda signal_mv: Copy(signal_mv * np.linspace(0.2, 3, 12)[:, None]),
    "a large baseline": lambda signal_mv: Copy(signal_mv + np.float32(12.5)),
    "rounded to 10 uV": lambda signal_mv: Copy(np.rint(signal_mv / 0.01) * 0.01),
    "baseline removed": lambda signal_mv: filtered(signal_mv, 0.5, "highpass"),
    "above 40 Hz removed": lambda signal_mv: filtered(signal_mv, 40, "lowpass", order=4),
    "beginning cut off": lambda signal_mv: cut(signal_mv, 1237, 5000),
    "end cut off": lambda signal_mv: cut(signal_mv, 0, 2903),
    "five seconds of it": lambda signal_mv: cut(signal_mv, 1601, 4101),
    "lead II": lambda signal_mv: with_leads(signal_mv, "II"),
    "lead V5": lambda signal_mv: with_leads(signal_mv, "V5"),
    "three leads": lambda signal_mv: with_leads(signal_mv, "V2", "II", "I"),
    "leads turned round": lambda signal_mv: Copy(signal_mv[::-1], LEADS[::-1]),
    "padded with zeros": padded,
    "a gap and a missing lead": with_gap,
    "wrapped samples in a lead": with_spike,
    "all at once": all_at_once,
}


class TestCopies:
    @pytest.mark.parametrize("kind", COPIES)
    @pytest.mark.parametrize("patient", [1, 2, 3])
    def test_a_copy_is_found_among_others(self, kind, patient):
        original = recording(patient)
        copy = COPIES[kind](original)
        (found,) = find_near_duplicates([*CROWD[:17], sketch(original), *CROWD[17:], copy.sketch])
        assert (found.first, found.second) == (17, 31)
        assert found.similarity.correlation > 0.98
        assert found.similarity.shift_s == pytest.approx(copy.later_s, abs=0.015)

    def test_ten_seconds_of_five_minutes_are_found(self):
        original = recording(4, seconds=300)
        pieces = [cut(original, start, start + 5000) for start in (0, 61_111, 145_000)]
        found = find_near_duplicates([sketch(original), *CROWD, *(piece.sketch for piece in pieces)])
        assert [(pair.first, pair.second) for pair in found] == [(0, 31), (0, 32), (0, 33)]
        for pair, piece in zip(found, pieces, strict=True):
            assert pair.similarity.shift_s == pytest.approx(piece.later_s, abs=0.015)

    def test_pieces_that_overlap_are_found(self):
        original = recording(5, seconds=20)
        (found,) = find_near_duplicates([cut(original, 0, 6000).sketch, *CROWD, cut(original, 3000, 10_000).sketch])
        assert found.similarity.shift_s == pytest.approx(6.0, abs=0.015)
        assert found.similarity.overlap_s == pytest.approx(6.0, abs=0.1)

    def test_pieces_that_do_not_overlap_are_no_copies(self):
        original = recording(5, seconds=20)
        assert find_near_duplicates([cut(original, 0, 5000).sketch, cut(original, 5000, 10_000).sketch]) == []

    def test_many_copies_form_one_group(self):
        original = sketch(recording(6))
        sketches = [*CROWD[:5], *[original] * 40, *CROWD[5:]]
        pairs = [(pair.first, pair.second) for pair in find_near_duplicates(sketches)]
        assert len(set(joined_groups(len(sketches), pairs)[5:45].tolist())) == 1
        assert all(5 <= first < second < 45 for first, second in pairs)

    def test_the_result_does_not_depend_on_the_size_of_blocks(self, monkeypatch):
        sketches = [*CROWD, *(with_rate(recording(1000 + patient), 100).sketch for patient in range(0, 30, 3))]
        expected = [(pair.first, pair.second) for pair in find_near_duplicates(sketches)]
        assert expected == [(patient, 30 + patient // 3) for patient in range(0, 30, 3)]
        monkeypatch.setattr(near_duplicates, "_BLOCK_RECORDS", 7)
        assert [(pair.first, pair.second) for pair in find_near_duplicates(sketches)] == expected


class TestOtherRecordings:
    def test_recordings_of_one_patient_are_no_copies(self):
        assert find_near_duplicates([sketch(recording(7, session)) for session in range(60)]) == []

    @pytest.mark.parametrize("irregularity_s", [0.001, 0.004, 0.02])
    def test_regular_rhythms_of_one_patient_are_no_copies(self, irregularity_s):
        sessions = [recording(8, session, beats_a_minute=60, irregularity_s=irregularity_s) for session in range(40)]
        assert find_near_duplicates([sketch(session) for session in sessions]) == []

    def test_rhythms_of_one_rate_are_no_copies(self):
        others = [recording(patient, beats_a_minute=70, irregularity_s=0.005) for patient in range(100, 160)]
        assert find_near_duplicates([sketch(other) for other in others]) == []

    def test_single_leads_of_others_are_no_copies(self):
        others = [recording(200 + patient % 20, patient, irregularity_s=0.01) for patient in range(60)]
        assert find_near_duplicates([with_leads(other, "II").sketch for other in others]) == []

    def test_one_periodic_signal_with_other_noise_is_no_copy(self):
        signals = [ecg_counts(seed, seconds=10).astype(np.float32) for seed in range(20)]
        assert find_near_duplicates([sketch(signal) for signal in signals]) == []

    def test_noise_is_no_copy_of_noise(self):
        noise = np.random.default_rng(0).normal(size=(40, 12, 5000)).astype(np.float32)
        assert find_near_duplicates([sketch(signal) for signal in noise]) == []

    def test_flat_records_and_lone_steps_match_nothing(self):
        flat = np.zeros((12, 5000), dtype=np.float32)
        step = np.repeat(flat[:, :1], 5000, axis=1)
        step[:, 2500:] = 16.0
        sketches = [signal_sketch(signal, LEADS, RATE_HZ) for signal in (flat, flat, step, step)]
        assert find_near_duplicates(sketches) == []

    def test_nothing_to_search_gives_nothing(self):
        assert find_near_duplicates([]) == find_near_duplicates([None, None]) == []
        assert find_near_duplicates([CROWD[0]]) == []


class TestScale:
    RECORDS, COPIES = 2000, 50

    @staticmethod
    def quick_sketch(number: int) -> SignalSketch:
        """Made at 50 Hz at once, without the filters of `signal_sketch`."""
        random = np.random.default_rng(number)
        times_s = np.arange(500) / 50
        beats_s = np.cumsum(random.normal(60 / random.uniform(50, 100), 0.02, 20)) - random.uniform(0.3, 1)
        from_beat_s = times_s - beats_s[:, None]
        waves = ((-0.16, 0.03), (0.0, 0.02), (0.03, 0.02), (0.28, 0.06))
        shapes = [np.exp(-0.5 * ((from_beat_s - at) / width) ** 2).sum(axis=0) for at, width in waves]
        signal = random.normal(0, [0.2, 1.0, 0.6, 0.4], (8, 4)) @ shapes
        signal = signal - signal.mean(axis=1, keepdims=True) + random.normal(0, 0.02, (8, 500))
        roots = np.sign(signal) * np.sqrt(np.abs(signal) / np.abs(signal).max(axis=1, keepdims=True))
        return SignalSketch(np.rint(90 * roots).astype(np.int8), ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"), 0.0)

    def test_few_of_all_pairs_are_compared_and_every_copy_is_found(self, monkeypatch):
        sketches = [self.quick_sketch(number) for number in range(self.RECORDS)]
        compared = []
        compare = near_duplicates.compare_sketches
        monkeypatch.setattr(
            near_duplicates, "compare_sketches", lambda *arguments: compared.append(1) or compare(*arguments)
        )
        copies = [
            SignalSketch(original.levels[:, 60:], original.lead_names, 0.0) for original in sketches[: self.COPIES]
        ]
        found = find_near_duplicates([*sketches, *copies])
        assert [(pair.first, pair.second) for pair in found] == [
            (number, self.RECORDS + number) for number in range(self.COPIES)
        ]
        assert isinstance(found[0], NearDuplicate)
        assert self.COPIES <= len(compared) < 0.0005 * self.RECORDS**2 / 2
