# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
from tests.corpora.leakage.recordings import LEADS, RATE_HZ, recording

from anyecg_hf.corpora.leakage.audit import AuditEntry, audit
from anyecg_hf.corpora.leakage.audit_report import AuditedPart, AuditedRecord, RepeatedId, SharedPatient, UnreadRecord
from anyecg_hf.corpora.leakage.fingerprints import Fingerprint, fingerprint
from anyecg_hf.corpora.leakage.record_links import RecordKey
from anyecg_hf.corpora.leakage.splitting import split_by_patient
from anyecg_hf.models.anyecg.signal_anyecg import resample


def entry(corpus, record_id, signal_mv=None, split="train", patient_id=None, source=None, rate_hz=RATE_HZ):
    """An entry; without a signal it has one of its own, which nothing resembles."""
    if signal_mv is None:
        found = Fingerprint(exact=f"{corpus} {record_id} {split}", sketch=None)
    else:
        found = fingerprint(signal_mv, LEADS, rate_hz)
    return AuditEntry(corpus, record_id, patient_id, split, source, fingerprint=found)


def record(corpus, record_id, split="train"):
    return AuditedRecord(corpus, record_id, split)


def same_record_at_100_hz(patient: int) -> tuple[np.ndarray, np.ndarray]:
    original = recording(patient)
    return original, resample(original, RATE_HZ, 100)


class TestCopies:
    def test_other_recordings_are_clean(self):
        entries = [entry("georgia", f"E{n}", recording(n)) for n in range(12)]
        entries += [entry("sph", f"A{n}", recording(100 + n)) for n in range(12)]
        report = audit(entries)
        assert (report.is_clean, report.copies, report.leaks) == (True, (), ())

    def test_equal_samples_in_two_corpora_leak(self):
        report = audit([entry("ptb", "s1", recording(1)), entry("sph", "A1", 5 * recording(1)), entry("sph", "A2")])
        (found,) = report.copies
        assert (found.kind, found.similarity, found.is_leak) == ("exact", None, True)
        assert found.records == (record("ptb", "s1"), record("sph", "A1"))
        assert report.leaks == (found,) and not report.is_clean

    def test_the_same_recording_at_another_rate_in_two_splits_leaks(self):
        original, copy = same_record_at_100_hz(1)
        report = audit([entry("folder", "a", original, "train"), entry("folder", "b", copy, "test", rate_hz=100)])
        (found,) = report.copies
        assert (found.kind, found.is_leak) == ("near", True)
        assert found.records == (record("folder", "a", "train"), record("folder", "b", "test"))
        assert found.similarity.correlation > 0.99 and found.similarity.overlap_s == pytest.approx(10, abs=0.1)
        assert not report.is_clean

    def test_copies_within_one_split_of_one_corpus_are_listed_but_no_leaks(self):
        original, copy = same_record_at_100_hz(2)
        entries = [
            entry("sph", "A1", original),
            entry("sph", "A2", 3 * original),
            entry("sph", "A3", copy, rate_hz=100),
        ]
        report = audit(entries)
        assert [copies.kind for copies in report.copies] == ["exact", "near"]
        assert report.copies[1].records == (record("sph", "A1"), record("sph", "A3"))
        assert report.is_clean and report.leaks == ()

    def test_leaks_come_first(self):
        entries = [entry("sph", name, recording(3)) for name in ("A1", "A2")]
        entries += [entry("sph", "A3", recording(4), "train"), entry("sph", "A4", recording(4), "test")]
        assert [copies.is_leak for copies in audit(entries).copies] == [True, False]

    def test_flat_records_are_copies_of_nothing_and_counted(self):
        flat = np.zeros((12, 5000), dtype=np.float32)
        short = recording(5, seconds=2)
        report = audit([entry("cinc2011", "1", flat), entry("sph", "A1", flat), entry("sph", "A2", short)])
        assert report.is_clean and report.copies == ()
        assert report.flat == (record("cinc2011", "1"), record("sph", "A1"))
        assert report.short == (record("sph", "A2"),)

    def test_short_records_are_compared_sample_by_sample(self):
        short = recording(5, seconds=2)
        assert [copies.kind for copies in audit([entry("sph", "A1", short), entry("ptb", "s1", short)]).copies] == [
            "exact"
        ]

    def test_one_record_in_two_releases_leaks_by_its_name(self):
        report = audit([entry("ptb-xl", "00001_hr"), entry("copies", "HR00001", source="ptb-xl"), entry("sph", "1")])
        (found,) = report.copies
        assert (found.kind, found.is_leak) == ("named", True)
        assert found.records == (record("ptb-xl", "00001_hr"), record("copies", "HR00001"))

    def test_equal_names_in_folders_mean_nothing(self):
        entries = [entry(folder, "100", source="folder") for folder in ("train", "test")]
        assert audit(entries).is_clean

    def test_equal_names_in_other_corpora_mean_nothing(self):
        assert audit([entry("ludb", "1"), entry("mit-bih", "1")]).copies == ()


class TestPatients:
    def test_a_patient_in_two_splits_leaks(self):
        entries = [
            entry("code-15", "1", patient_id="p", split="train"),
            entry("code-15", "2", patient_id="q", split="train"),
            entry("code-15", "3", patient_id="p", split="test"),
        ]
        report = audit(entries)
        shared = SharedPatient(("p",), (record("code-15", "1", "train"), record("code-15", "3", "test")))
        assert report.shared_patients == report.leaks == (shared,)
        assert not report.is_clean

    def test_several_records_of_a_patient_in_one_split_are_fine(self):
        assert audit([entry("code-15", str(n), patient_id="p") for n in range(5)]).is_clean

    def test_identifiers_of_other_corpora_are_not_compared(self):
        assert audit([entry("code-15", "1", patient_id="7"), entry("sph", "A1", patient_id="7")]).is_clean

    def test_identifiers_of_two_releases_are(self):
        entries = [entry("a", "s1", patient_id="7", source="ptb"), entry("b", "s2", patient_id="7", source="ptb")]
        assert [shared.patient_ids for shared in audit(entries).shared_patients] == [("7",)]

    def test_identifiers_of_two_folders_are(self):
        entries = [entry(folder, "x", patient_id="7", source="folder") for folder in ("train", "test")]
        assert not audit(entries).is_clean

    def test_a_copy_has_the_patient_of_its_original(self):
        entries = [
            entry("ptb-xl", "00001_hr", patient_id="p", split="train"),
            entry("ptb-xl", "00002_hr", patient_id="p", split="train"),
            entry("copies", "HR00002", source="ptb-xl"),
        ]
        (shared,) = audit(entries).shared_patients
        assert shared.patient_ids == ("p",) and len(shared.records) == 3


class TestReport:
    def test_it_counts_what_was_audited(self):
        entries = [
            entry("sph", "A1", patient_id="p", split="train"),
            entry("sph", "A2", patient_id="p", split="train"),
            entry("sph", "A3", split="train"),
            entry("sph", "A4", patient_id="q", split="test"),
        ]
        assert audit(entries).parts == (
            AuditedPart("sph", "train", records=3, patients=1, without_patient=1),
            AuditedPart("sph", "test", records=1, patients=1, without_patient=0),
        )

    def test_repeated_identifiers_are_listed(self):
        entries = [entry("sph", name) for name in ("A1", "A2", "A1", "A1")]
        assert audit(entries).repeated_ids == (RepeatedId("sph", "A1", 3),)

    def test_records_that_could_not_be_read_are_passed_on(self):
        unread = (UnreadRecord("sph", "records/A1.h5", "truncated"),)
        assert audit([], unread).unread == unread

    def test_nothing_is_clean(self):
        assert audit([]).is_clean

    def test_a_split_that_keeps_the_links_is_clean(self):
        original, copy = same_record_at_100_hz(6)
        entries = [entry("georgia", f"E{n}", recording(200 + n)) for n in range(20)]
        entries += [entry("georgia", "E100", original), entry("sph", "A100", copy, rate_hz=100, patient_id="p")]
        entries += [entry("sph", f"A{n}", recording(300 + n), patient_id="p") for n in range(3)]
        report = audit(entries)
        assert (RecordKey("georgia", "E100"), RecordKey("sph", "A100")) in report.linked
        for seed in range(8):
            split = split_by_patient(entries, {"train": 0.5, "test": 0.5}, seed, report.linked)
            together = {split.splits[RecordKey("georgia", "E100")]}
            together |= {split.splits[RecordKey("sph", f"A{n}")] for n in (0, 1, 2, 100)}
            assert len(together) == 1


def test_an_entry_is_made_of_a_row():
    row = {
        "corpus": "ptb-xl",
        "record_id": "HR00001",
        "patient_id": None,
        "split": "train",
        "signal": recording(1),
        "lead_names": list(LEADS),
        "sampling_rate": 500.0,
    }
    made = AuditEntry.of(row, "copies")
    assert (made.corpus, made.source, made.name, made.id_space) == ("copies", "ptb-xl", "1", "ptb-xl")
    assert made.fingerprint.exact == fingerprint(recording(1), LEADS, 500).exact
    assert AuditEntry.of(row).described == AuditedRecord("ptb-xl", "HR00001", "train")
