# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Labels from beats and rhythms."""

from anyecg_hf.corpora.builders.beat_labels import beat_labels
from anyecg_hf.corpora.label_tables import to_snomed
from anyecg_hf.records import Annotation


def test_rhythms_come_before_beats_and_each_once():
    found = [("N", ""), ("+", "(AFIB"), ("V", ""), ("+", "(N"), ("N", ""), ("+", "(AFIB")]
    labels = beat_labels(Annotation(float(time), *pair) for time, pair in enumerate(found))
    assert labels == ("(AFIB", "(N", "N", "V")
    assert to_snomed("wfdb", labels).codes == ("164889003", "426783006", "427172004")


def test_marks_and_comments_are_no_labels():
    found = [("|", ""), ('"', "MISSB"), ("+", ""), ("p", ""), ("(", "")]
    assert beat_labels(Annotation(0.0, *pair) for pair in found) == ()


def test_noise_and_unknown_symbols_are_kept():
    assert beat_labels(
        [Annotation(0.0, "~"), Annotation(1.0, "Q"), Annotation(2.0, "Y"), Annotation(3.0, "+", "(XY")]
    ) == (*("(XY", "~", "Q", "Y"),)
