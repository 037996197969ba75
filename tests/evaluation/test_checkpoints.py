# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation asks of checkpoints; windows and tokenizers are tested with the protocols."""

import json
import logging

import pytest

from anyecg_hf.evaluation.checkpoints import refuse_different, refuse_seen_records, seen_before
from anyecg_hf.training.leaks import LeakError, RowKey

SEEN = RowKey("ptb-xl", "00003_hr", "3", "aa")
OTHER = RowKey("ptb-xl", "00009_hr", "9", "bb")


@pytest.fixture
def checkpoint(tmp_path) -> str:
    """A packed checkpoint that names the two records it was trained on."""
    listing = {"stages_1_and_2": {"ptb-xl": ["00003_hr", "00004_hr"]}}
    (tmp_path / "training_records.json").write_text(json.dumps(listing))
    return str(tmp_path)


class TestSeenRecords:
    def test_that_are_test_records_are_refused(self, checkpoint):
        with pytest.raises(LeakError, match=r"was trained or selected on ptb-xl/00003_hr, which shares its record"):
            refuse_seen_records(checkpoint, [OTHER, SEEN])

    def test_are_counted_where_none_is_a_test_record(self, checkpoint):
        assert refuse_seen_records(checkpoint, [OTHER]) == {"records": 2, "unknown": []}

    def test_that_nobody_knows_are_warned_of(self, tmp_path, caplog):
        with caplog.at_level(logging.WARNING):
            found = refuse_seen_records(str(tmp_path / "final"), [SEEN])
        assert found == {"records": 0, "unknown": [str(tmp_path / "final")]}
        assert "nobody knows what" in caplog.text and "it may have seen the test records" in caplog.text

    def test_are_told_of_where_they_are_not_refused(self, checkpoint):
        assert seen_before(checkpoint, [OTHER, SEEN]) == {"seen": 1, "records": 2, "unknown": []}


class TestDifferences:
    def test_are_refused_with_both_values_and_what_is_missing_on_one_side(self):
        settings = {"first": {"notch_hz": 50.0}, "second": {"notch_hz": 50.0, "denoise": True}}
        with pytest.raises(ValueError, match=r"first and second clean differently: \{'denoise': \(None, True\)\}"):
            refuse_different(settings, dict, "clean differently")

    def test_that_do_not_exist_are_not_refused(self):
        refuse_different({"first": {"notch_hz": 50.0}, "second": {"notch_hz": 50.0}}, dict, "clean differently")
        refuse_different({}, dict, "clean differently")
