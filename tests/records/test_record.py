# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`ECGRecord`: what it accepts, derives and refuses."""

import pickle
from dataclasses import fields, replace
from datetime import datetime

import numpy as np
import pytest

from anyecg_hf.records import Annotation, ECGRecord


def test_the_signal_is_kept_as_contiguous_float32_and_the_rest_is_derived():
    record = ECGRecord(np.arange(20.0).reshape(10, 2).T, sampling_rate=4, lead_names=["I", "II"])
    assert record.signal_mv.dtype == np.float32 and record.signal_mv.flags["C_CONTIGUOUS"]
    assert (record.n_leads, record.n_samples, record.duration_s) == (2, 10, 2.5)
    assert record.lead_names == ("I", "II") and isinstance(record.sampling_rate, float)
    assert record.signal_mv[1, 3] == 7.0


def test_records_are_equal_if_every_field_is_and_missing_samples_count_as_equal():
    fields = {"sampling_rate": 500, "lead_names": ("I",), "recorded_at": datetime(2020, 5, 12)}
    signal = np.array([[0.0, np.nan, 1.0]])
    assert ECGRecord(signal, **fields) == ECGRecord(signal.copy(), **fields)
    assert ECGRecord(signal, **fields) != ECGRecord(signal + 1, **fields)
    assert ECGRecord(signal, **fields) != ECGRecord(signal, **fields, record_id="a")
    assert ECGRecord(signal, **fields) != "a record"


def test_a_record_survives_pickling():
    record = ECGRecord(np.ones((1, 5)), 500, ("I",), annotations=[Annotation(0.5, "N")], labels=["NORM"])
    assert pickle.loads(pickle.dumps(record)) == record


def test_repr_is_one_short_line_without_the_samples():
    record = ECGRecord(np.zeros((2, 5000)), 500, ("I", "aVR"), record_id="00001_hr", age_years=56.0, sex=1)
    assert repr(record) == (
        "ECGRecord(2 leads (I, aVR), 5000 samples at 500 Hz, 10 s, record_id='00001_hr', age_years=56.0, sex=1)"
    )


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((5000, 2), r"shape \(5000, 2\), which is \(samples, leads\)\. Transpose the array"),
        ((3, 5000), r"with 2 leads, as many as are named, found shape \(3, 5000\)"),
        ((5000,), r"found shape \(5000,\)"),
        ((1, 2, 5000), r"found shape \(1, 2, 5000\)"),
        ((), r"found shape \(\)"),
        ((2, 0), r"at least one lead and one sample"),
    ],
)
def test_a_signal_that_is_not_leads_by_samples_is_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        ECGRecord(np.zeros(shape), 500, ("I", "II"))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("sampling_rate", 0, "positive number of Hz, got 0.0"),
        ("sampling_rate", -500, "got -500.0"),
        ("sampling_rate", float("nan"), "got nan"),
        ("sampling_rate", float("inf"), "got inf"),
        ("lead_names", "I", "single string 'I'"),
        ("sex", 2, r"0 \(male\), 1 \(female\) or None, got 2"),
        ("age_years", float("nan"), "`age_years` must be a finite number"),
        ("weight_kg", -1.0, "`weight_kg` must be a finite number"),
    ],
)
def test_an_impossible_field_is_refused(field, value, message):
    fields = {"sampling_rate": 500, "lead_names": ("I",), field: value}
    with pytest.raises(ValueError, match=message):
        ECGRecord(np.zeros((1, 10)), **fields)


def test_a_signal_that_is_not_numbers_is_refused():
    with pytest.raises(ValueError, match="real numbers, got dtype complex128"):
        ECGRecord(np.zeros((1, 10), dtype=complex), 500, ("I",))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"time_s": float("nan")}, "`time_s` and `duration_s` must be finite, got nan and None"),
        ({"duration_s": float("inf")}, "got 1.0 and inf"),
        ({"time_s": "1"}, "got '1' and None"),
        ({"symbol": float("nan")}, r"`symbol`, `note` and `lead_name` must be texts, got \(nan, '', ''\)"),
        ({"note": None}, "must be texts"),
        ({"lead_name": 1}, "must be texts"),
    ],
)
def test_an_annotation_has_a_time_and_texts(fields, message):
    with pytest.raises(ValueError, match=message):
        Annotation(**{"time_s": 1.0, "symbol": "N", **fields})


PERSONAL = {
    "record_id": "00001_hr",
    "patient_id": "MRN 123456",
    "recorded_at": datetime(2019, 5, 12, 8, 30),
    "comments": ("Confirmed by Dr. Jane Doe", "Age: 95"),
    "source": "/data/Jane Doe/00001_hr.hea",
}
MEDICAL = {"sex": 1, "age_years": 56.0, "weight_kg": 70.0, "height_cm": 172.0}


def test_without_identity_keeps_signal_and_body_and_drops_who_it_was():
    record = ECGRecord(np.ones((2, 5)), 500, ("I", "II"), **PERSONAL, **MEDICAL, labels=("NORM",))
    stripped = record.without_identity()
    assert stripped == ECGRecord(np.ones((2, 5)), 500, ("I", "II"), **MEDICAL, labels=("NORM",))
    assert stripped.signal_mv is record.signal_mv
    assert record.patient_id == "MRN 123456"
    kept = {"signal_mv", "sampling_rate", "lead_names", *MEDICAL, "labels", "annotations"}
    assert {field.name for field in fields(ECGRecord)} == kept | set(PERSONAL)


@pytest.mark.parametrize(
    ("age", "kept"), [(89.0, 89.0), (89.5, 90.0), (90.0, 90.0), (300.0, 90.0), (0.0, 0.0), (None, None)]
)
def test_ages_above_89_are_one_age_without_identity(age, kept):
    assert ECGRecord(np.ones((1, 5)), 500, ("I",), age_years=age).without_identity().age_years == kept


def test_labels_that_are_codes_stay_and_free_text_goes_without_identity():
    codes = ("426783006", "67741000119109", "NORM", "NST_", "1AVB", "I-AVB", "147+367", "713427006|59118001", "N")
    codes += ("59118001", "10370003", "22.1.1.1", "1_2", "3AVB")
    texts = ("Normal sinus rhythm", "Confirmed by Doe", "jane@doe.org", "Müller", "", "(N")
    dates = ("12-MAY-2019", "12.05.2019", "2019_05_12", "12MAY2019", "20190512")
    record = ECGRecord(np.ones((1, 5)), 500, ("I",), labels=(*codes, *texts, *dates))
    assert record.without_identity().labels == codes


def test_annotations_keep_time_and_code_and_lose_free_text_without_identity():
    beat = Annotation(0.5, "N", duration_s=0.1, lead_name="I")
    rhythm, text = Annotation(1.0, "+", "(AFIB"), Annotation(2.0, '"', "Mrs. Doe coughs")
    codes = [Annotation(4.0, symbol) for symbol in ("[", "~", "[45]", "2:5250", "MDC_ECG_WAVC_PWAVE")]
    texts = [Annotation(5.0, symbol) for symbol in ("Mrs. Doe", "Doe^Jane", "12-MAY-2019", "")]
    found = [beat, rhythm, text, Annotation(3.0, "+", "(DOE"), *codes, *texts]
    record = ECGRecord(np.ones((1, 5)), 500, ("I",), annotations=found)
    expected = (beat, rhythm, replace(text, note=""), Annotation(3.0, "+"), *codes, *[Annotation(5.0, '"')] * 4)
    assert record.without_identity().annotations == expected
    assert ECGRecord(np.ones((1, 5)), 500, ("I",)).without_identity().annotations is None
