# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json

import numpy as np
import pytest
from tests.cli.conftest import LEADS
from tests.training.written_records import write_wfdb

FOOTNOTE = "* identifies the patient or may do so: ECGRecord.without_identity() leaves it out."


@pytest.fixture
def annotated(own_folder):
    """Two leads of 2.5 s at 100 Hz in steps of 5 uV: one with an invalid sample and a jump, one flat; beats, a text."""
    wfdb = pytest.importorskip("wfdb")
    counts = np.zeros((2, 250), dtype=int)
    counts[0] = np.tile([0, 200], 125)
    counts[0, 210:] += 1000
    counts[0, 3] = -32768
    comments = (" Age: 93", " Sex: F", " Patient ID: p7", " Dx: 426783006,Confirmed by Dr. Doe")
    path = write_wfdb(own_folder / "rec", counts, sampling_rate=100, leads=("MLII", "V5"), gain=200, comments=comments)
    notes = ["(AFIB", "", "", "Mrs. Doe"]
    wfdb.wrann(
        "rec", "atr", np.array([1, 50, 100, 200]), ["+", "N", "N", '"'], aux_note=notes, write_dir=str(own_folder)
    )
    return path


def test_everything_that_a_file_carries_is_printed_and_what_identifies_is_marked(anyecg, annotated):
    outcome = anyecg("inspect", "rec", "--annotations")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        "Record *      rec",
        "File *        rec.hea",
        "Format        WFDB",
        "Length        2.5 s, 250 samples at 100 Hz, 2 leads",
        "Stored as     int16; (sample - baseline) / gain is the voltage in the unit",
        "  lead  gain  baseline  unit  missing is  min mV  max mV  range mV  missing",
        "  MLII   200         0    mV      -32768   0.000   6.000     1.000    0.4 %",
        "  V5     200         0    mV      -32768   0.000   0.000     0.000      0 %  flat",
        "Patient *     p7",
        "Age           90 years",
        "Sex           female",
        "Weight        -",
        "Height        -",
        "Recorded at   -",
        "Labels *      426783006, Confirmed by Dr. Doe",
        'Annotations * 4 from 0.01 to 2 s: 2 x N, 1 x +, 1 x "; notes: 1 x (AFIB, 1 x Mrs. Doe',
        "Comments *",
        "  Age: 93",
        "  Sex: F",
        "  Patient ID: p7",
        "  Dx: 426783006,Confirmed by Dr. Doe",
        FOOTNOTE,
    ]


def test_annotations_that_were_not_asked_for_and_those_that_are_not_there_are_told_apart(anyecg, record):
    assert "Annotations   not read (--annotations)" in anyecg("inspect", "rec").out.splitlines()
    assert "Annotations   -" in anyecg("inspect", "rec", "--annotations").out.splitlines()


def test_an_age_above_89_is_hidden(anyecg, own_folder):
    np.savez("old.npz", signal=np.eye(1, 9), sampling_rate=9, lead_names=["I"], unit="mV", age_years=97, sex=0)
    lines = anyecg("inspect", "old.npz").out.splitlines()
    assert "Age           90 years" in lines and "Sex           male" in lines
    assert "Length        1 s, 9 samples at 9 Hz, 1 lead" in lines


def test_json_has_all_of_it(anyecg, annotated):
    outcome = anyecg("inspect", "rec", "--annotations", "--json")
    assert (outcome.status, outcome.err) == (0, "")
    found = json.loads(outcome.out)
    assert found["failures"] == []
    (record,) = found["records"]
    first, second = record.pop("leads")
    assert first == {
        **{"name": "MLII", "gain": 200.0, "baseline": 0.0, "unit": "mV", "missing_code": -32768},
        **{"min_mv": 0.0, "max_mv": 6.0, "typical_range_mv": 1.0, "missing_share": 0.004, "is_flat": False},
    }
    assert second["is_flat"] and second["missing_share"] == 0.0
    annotations = record.pop("annotations")
    assert annotations[0] == {"time_s": 0.01, "symbol": "+", "note": "(AFIB", "duration_s": None, "lead_name": None}
    assert len(annotations) == 4
    assert record == {
        **{"path": "rec", "format": "WFDB", "source": "rec.hea", "record_id": "rec", "dtype": "int16"},
        **{"sampling_rate": 100.0, "samples": 250, "duration_s": 2.5, "recorded_at": None},
        **{"patient_id": "p7", "age_years": 90.0, "sex": 1, "weight_kg": None, "height_cm": None},
        "labels": ["426783006", "Confirmed by Dr. Doe"],
        "comments": ["Age: 93", "Sex: F", "Patient ID: p7", "Dx: 426783006,Confirmed by Dr. Doe"],
        "identifying": ["record_id", "patient_id", "comments", "source", "labels", "annotations"],
    }


def test_records_follow_each_other_and_failures_come_last(anyecg, record, half_flat, truncated):
    outcome = anyecg("inspect", "nowhere", "rec", "truncated", "half_flat")
    assert outcome.status == 1
    first, second = outcome.out.split("\n\n")
    assert first.startswith("Record *      rec\n") and first.endswith(FOOTNOTE)
    assert second.startswith("Record *      half_flat\n") and "0 %  flat\n" in second
    assert outcome.errors[0] == "2 records could not be used:"
    assert outcome.errors[1].strip() == "nowhere: expected a record, a folder or a glob, found none of them."
    assert "truncated.dat: expected 30000 bytes" in outcome.errors[2]


def test_failures_are_in_the_json_too(anyecg, record, truncated):
    outcome = anyecg("inspect", "rec", "truncated", "--json")
    assert outcome.status == 1 and "truncated.dat" in outcome.err
    found = json.loads(outcome.out)
    assert [record["path"] for record in found["records"]] == ["rec"]
    assert found["failures"][0]["path"] == "truncated" and "truncated.dat" in found["failures"][0]["error"]


def test_nothing_that_can_be_read_is_an_error(anyecg, truncated):
    outcome = anyecg("inspect", "truncated")
    assert (outcome.status, outcome.out, outcome.errors[0]) == (1, "", "1 record could not be used:")
    outcome = anyecg("inspect", "nowhere")
    assert outcome.status == 1 and outcome.errors[0].startswith("anyecg inspect: nowhere: expected a record")


def test_a_table_of_tabs_tells_its_leads_and_one_without_a_header_is_told(anyecg, own_folder):
    (own_folder / "named.tsv").write_text("time\tI\taVR (uV)\n0.00\t0.5\t200\n0.01\t\t100\n0.02\t-1\t300\n")
    (own_folder / "bare.tsv").write_text("0.5\t200\n0.25\t100\n")
    outcome = anyecg("inspect", "named.tsv", "--unit", "uV")
    assert outcome.status == 0
    assert "Length        0.03 s, 3 samples at 100 Hz, 2 leads" in outcome.out
    assert "  I        1         0    uV           -  -0.001   0.001     0.002   33.3 %\n" in outcome.out
    outcome = anyecg("inspect", "bare.tsv", "--unit", "mV", "--sampling-rate", "250", "--leads", "I,V1")
    assert outcome.status == 0 and "Format        CSV\n" in outcome.out and "Stored as     float64; " in outcome.out
    assert "  V1       1         0    mV           -  100.000  200.000   100.000      0 %\n" in outcome.out
    outcome = anyecg("inspect", "bare.tsv", "--unit", "mV", "--sampling-rate", "250")
    assert outcome.status == 1
    assert "expected names of the leads, found none in the file. Pass lead_names" in outcome.errors[1]
    assert "(--leads I,II,V1)" in outcome.errors[1]


def test_one_of_many_records_is_inspected_by_its_address(anyecg, own_folder):
    h5py = pytest.importorskip("h5py")
    tracings = np.zeros((2, 50, 3), dtype=np.float32)
    tracings[:, 10:30] = np.arange(20)[:, None]
    with h5py.File("exams.hdf5", "w") as file:
        file["exam_id"], file["tracings"] = np.array([11, 12]), tracings
    told = ("--sampling-rate", "400", "--unit", "mV", "--leads", ",".join(LEADS))
    outcome = anyecg("inspect", "exams.hdf5::12", *told)
    assert outcome.status == 0
    assert outcome.out.startswith("Record *      12\nFile *        exams.hdf5::12\nFormat        HDF5\n")
    assert "  samples of zeros left out: 11 before the ECG, 20 after it\n" in outcome.out
    outcome = anyecg("inspect", "exams.hdf5", "--json", *told)
    assert [record["record_id"] for record in json.loads(outcome.out)["records"]] == ["11", "12"]


def test_what_is_odd_is_a_warning(anyecg, record, own_folder):
    header = own_folder / "rec.hea"
    header.write_text(header.read_text().replace(" V1", " left foot"))
    outcome = anyecg("inspect", "rec")
    assert outcome.status == 0 and "\n  unknown  " in outcome.out
    assert len(outcome.warnings) == 1 and "'left foot' (lead 3)" in outcome.warnings[0]


def test_voltages_that_are_no_numbers_are_shown_and_are_null_in_json(anyecg, own_folder):
    (own_folder / "odd.csv").write_text("I,II\n1,nan\ninf,nan\n")
    told = ("--unit", "mV", "--sampling-rate", "250")
    outcome = anyecg("inspect", "odd.csv", *told)
    assert "1.000     inf       inf      0 %" in outcome.out and "-       -         -    100 %" in outcome.out
    first, second = json.loads(anyecg("inspect", "odd.csv", "--json", *told).out)["records"][0]["leads"]
    assert (first["min_mv"], first["max_mv"], second["max_mv"], second["missing_share"]) == (1.0, None, None, 1.0)
