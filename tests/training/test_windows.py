# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import logging

import numpy as np
import pytest
import torch
from tests.training.written_records import cleaned_records, ecg_counts, write_wfdb

from anyecg_hf import AnyECGTokenizer
from anyecg_hf.corpora.leakage.fingerprints import signal_fingerprint
from anyecg_hf.records import read_record
from anyecg_hf.training.licensed_records import ListedRecord
from anyecg_hf.training.windows import CleanedRecord, EpochSampler, RecordWindows, clean_records


class TestCleanRecords:
    @pytest.fixture(scope="class")
    @classmethod
    def cleaned(cls, tmp_path_factory):
        folder = tmp_path_factory.mktemp("records")
        counts = ecg_counts(0, leads=3)
        flat_lead = counts.copy()
        flat_lead[1] = 7
        truncated = write_wfdb(folder / "truncated", counts)
        truncated.with_name("truncated.dat").write_bytes(b"\0" * 60)
        listed = [
            ListedRecord(write_wfdb(folder / "good", counts, comments=["Age: 44", "Sex: Female"]), "ludb"),
            ListedRecord(truncated, "ludb"),
            ListedRecord(write_wfdb(folder / "flat", np.zeros_like(counts)), "challenge-2011"),
            ListedRecord(write_wfdb(folder / "microvolts", counts, gain=1.0), "mitdb"),
            ListedRecord(
                write_wfdb(folder / "00001_hr", flat_lead),
                "ptb-xl",
                fold=1,
                demographics=(90.0, float("nan"), 1.0),
                superclasses=("MI", "HYP"),
            ),
        ]
        return clean_records(listed, AnyECGTokenizer(patch_size=75)), folder

    def test_records_that_cannot_be_used_are_named_with_the_reason(self, cleaned):
        refused = cleaned[0].refused
        assert list(refused) == ["ludb/truncated", "challenge-2011/flat", "mitdb/microvolts"]
        assert "truncated.dat: expected 9000 bytes" in refused["ludb/truncated"]
        assert refused["challenge-2011/flat"] == "no usable lead"
        assert "microvolts" in refused["mitdb/microvolts"]

    def test_refused_records_are_logged(self, tmp_path, caplog):
        flat = write_wfdb(tmp_path / "flat", np.zeros((1, 1500), dtype=np.int64))
        with caplog.at_level(logging.WARNING):
            clean_records([ListedRecord(flat, "ludb")], AnyECGTokenizer(patch_size=75))
        assert "1 records could not be used: {'ludb/flat': 'no usable lead'}" in caplog.text

    def test_good_records_are_patches_in_recording_scale(self, cleaned):
        record = cleaned[0].records[0]
        assert (record.name, record.labels, record.codes) == ("ludb/good", None, None)
        assert record.patches.shape == (3, 12, 75) and record.patches.dtype == np.float16
        assert float(record.patches.std(dtype=np.float64)) == pytest.approx(1.0, abs=0.01)
        assert record.patch_mask.all()
        np.testing.assert_array_equal(record.lead_ids, [0, 1, 2])
        np.testing.assert_array_equal(record.demographics, [44.0, np.nan, 1.0])

    def test_the_table_of_ptb_xl_overrides_the_header_and_labels_become_a_vector(self, cleaned):
        record = cleaned[0].records[1]
        np.testing.assert_array_equal(record.demographics, [90.0, np.nan, 1.0])
        np.testing.assert_array_equal(record.labels, [0, 1, 0, 0, 1])
        np.testing.assert_array_equal(record.patch_mask.any(axis=1), [True, False, True])

    def test_fingerprints_are_those_of_the_raw_signals(self, cleaned):
        records, folder = cleaned
        good, other = (read_record(folder / name) for name in ("good", "00001_hr"))
        assert records.fingerprints == {
            signal_fingerprint(good.signal_mv, good.lead_names): "ludb/good",
            signal_fingerprint(other.signal_mv, other.lead_names): "ptb-xl/00001_hr",
        }


def numbered_record(leads: int, patches: int) -> CleanedRecord:
    """A record whose patches hold `100 * lead + patch`."""
    numbers = 100 * np.arange(leads)[:, None] + np.arange(patches)
    return CleanedRecord(
        name="written/0",
        fingerprint="",
        patches=np.repeat(numbers[..., None], 4, axis=2).astype(np.float16),
        patch_mask=np.ones((leads, patches), dtype=bool),
        lead_ids=np.arange(leads) + 5,
        scale=1.0,
        demographics=np.zeros(3, dtype=np.float32),
        labels=None,
        codes=numbers,
    )


class TestRecordWindows:
    @pytest.mark.parametrize(
        "patches, most, expected", [(3, 20, 1), (10, 20, 1), (19, 20, 1), (20, 20, 2), (95, 20, 9), (95, 4, 4)]
    )
    def test_a_record_gives_a_window_for_each_it_holds_within_bounds(self, patches, most, expected):
        windows = RecordWindows([numbered_record(2, patches)], 10, training=False, most_windows=most)
        assert len(windows) == expected

    def test_fixed_windows_follow_one_another_with_all_leads(self):
        windows = RecordWindows([numbered_record(2, 25), numbered_record(1, 7)], 10, training=False, lead_dropout=1.0)
        starts = [windows[item]["input_values"][0, 0, 0] for item in range(len(windows))]
        assert starts == [0, 10, 0]
        assert [windows[item]["attention_mask"].shape for item in range(3)] == [(2, 10), (2, 10), (1, 7)]
        assert windows[0]["input_values"].dtype == np.float32
        np.testing.assert_array_equal(windows[1]["codes"], numbered_record(2, 25).codes[:, 10:20])
        assert "labels" not in windows[0]

    def test_training_windows_start_anywhere_and_keep_their_length(self):
        windows = RecordWindows([numbered_record(2, 15)], 10, training=True)
        starts = {int(windows[draw]["input_values"][0, 0, 0]) for draw in range(100)}
        assert starts == set(range(6))
        assert windows[0]["input_values"].shape == (2, 10, 4)

    def test_leads_are_dropped_at_the_given_rate_and_stay_in_order(self):
        windows = RecordWindows([numbered_record(6, 10)], 10, training=True, lead_dropout=0.5)
        kept = [windows[draw]["lead_ids"] for draw in range(400)]
        # A sixth of the drops keep all six leads.
        assert np.mean([len(leads) < 6 for leads in kept]) == pytest.approx(0.5 * 5 / 6, abs=0.08)
        assert {len(leads) for leads in kept} == {1, 2, 3, 4, 5, 6}
        assert all((np.diff(leads) > 0).all() for leads in kept)
        assert {tuple(leads) for leads in kept if len(leads) == 1} == {(lead,) for lead in range(5, 11)}

    def test_everything_of_a_window_is_of_the_same_leads_and_times(self):
        windows = RecordWindows([numbered_record(6, 40)], 10, training=True, lead_dropout=1.0)
        for draw in range(20):
            window = windows[draw]
            np.testing.assert_array_equal(window["codes"], window["input_values"][..., 0])
            np.testing.assert_array_equal(window["lead_ids"] - 5, window["codes"][:, 0] // 100)
            assert window["attention_mask"].shape == window["codes"].shape

    def test_draws_follow_from_seed_and_index_alone(self):
        def starts(seed: int) -> list[int]:
            windows = RecordWindows([numbered_record(2, 200)], 10, training=True, lead_dropout=0.5, seed=seed)
            return [int(windows[draw]["input_values"][0, 0, 0]) for draw in range(30)]

        torch.manual_seed(0)
        first = starts(0)
        torch.manual_seed(1)
        assert starts(0) == first != starts(1)

    def test_an_index_of_a_later_epoch_is_the_same_record_drawn_anew(self):
        records = [numbered_record(1, 90), numbered_record(3, 90)]
        windows = RecordWindows(records, 45, training=True)
        drawn = [windows[2 + epoch * len(windows)] for epoch in range(10)]
        assert all(len(window["lead_ids"]) == 3 for window in drawn)
        assert len({int(window["input_values"][0, 0, 0]) for window in drawn}) > 3

    def test_labels_and_demographics_travel_along(self):
        record = cleaned_records(1, labels=[[1, 0]])[0]
        window = RecordWindows([record], 4, training=True)[0]
        np.testing.assert_array_equal(window["labels"], [1, 0])
        np.testing.assert_array_equal(window["demographics"], [50.0, np.nan, 0.0])


class TestEpochSampler:
    def test_every_epoch_has_every_item_once_in_another_order(self):
        sampler = EpochSampler(50, seed=3)
        orders = []
        for epoch in range(3):
            sampler.set_epoch(epoch)
            order = list(sampler)
            assert sorted(order) == list(range(50 * epoch, 50 * (epoch + 1)))
            orders.append([draw % 50 for draw in order])
        assert len(sampler) == 50
        assert orders[0] != orders[1] != orders[2] != sorted(orders[2])

    def test_the_seed_decides_the_order(self):
        assert list(EpochSampler(50, seed=3)) == list(EpochSampler(50, seed=3)) != list(EpochSampler(50, seed=4))
