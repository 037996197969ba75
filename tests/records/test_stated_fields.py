# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Named fields of files: what is stated, unknown, or nonsense."""

from pathlib import Path

import pytest

from anyecg_hf.records import RecordError
from anyecg_hf.records.source import RecordFacts
from anyecg_hf.records.stated_fields import StatedFields

PATH = Path("ecg.h5")


def stated(**values) -> StatedFields:
    return StatedFields(PATH, values)


def facts_of(**values) -> RecordFacts:
    return stated(**values).facts("ecg", "ecg.h5", ["line"])


def test_what_is_not_stated_is_unknown():
    fields = stated(unit=None, lead_names=[], gain=5)
    assert (fields.sampling_rate, fields.lead_names, fields.unit) == (None, None, None)
    assert facts_of() == RecordFacts(record_id="ecg", source="ecg.h5", comments=("line",))


@pytest.mark.parametrize(("value", "rate"), [(500, 500.0), ([257.5], 257.5), (float("nan"), None), ([None], None)])
def test_a_number_may_stand_alone_or_in_a_list_and_not_a_number_is_unknown(value, rate):
    assert stated(sampling_rate=value).sampling_rate == rate


def test_a_text_alone_is_a_list_of_one():
    assert stated(lead_names="MLII").lead_names == ("MLII",)
    assert stated(unit=["mV", "mV"]).unit == "mV"
    assert facts_of(labels="NORM").labels == ("NORM",)
    assert facts_of(labels=["NORM", None, "", 426783006]).labels == ("NORM", "426783006")


@pytest.mark.parametrize(("value", "name"), [(7, "7"), (7.0, "7"), ("7.0", "7.0"), ("", None), (float("nan"), None)])
def test_identifiers_are_texts(value, name):
    assert facts_of(patient_id=value).patient_id == name
    assert facts_of(record_id=value).record_id == (name or "ecg")


@pytest.mark.parametrize(("value", "sex"), [(0, 0), (1.0, 1), ("F", 1), ("male", 0), ("?", None), (None, None)])
def test_sex_is_a_number_or_a_word(value, sex):
    assert facts_of(sex=value).sex == sex


@pytest.mark.parametrize(("value", "age"), [(89, 89.0), (89.5, 90.0), (300, 90.0), (0, 0.0)])
def test_ages_above_89_are_one_age(value, age):
    assert facts_of(age_years=value).age_years == age


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"age_years": -1}, r"ecg\.h5: expected the fields of an ECGRecord, found this: `age_years` must be a finite"),
        ({"sex": 2}, r"found this: `sex` must be 0 \(male\), 1 \(female\) or None, got 2"),
        ({"sex": True}, "expected one number as 'sex', found True"),
        ({"weight_kg": "heavy"}, "expected one number as 'weight_kg', found 'heavy'"),
        ({"height_cm": [1, 2]}, "expected one value of 'height_cm', found 2"),
        ({"patient_id": []}, "expected one value of 'patient_id', found 0"),
    ],
)
def test_nonsense_is_an_error(values, message):
    with pytest.raises(RecordError, match=message):
        facts_of(**values)
