# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Real records of every corpus, against what wfdb makes of them and against facts known about single records."""

import warnings
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import wfdb

from anyecg_hf.records import Annotation, MissingFileError, find_records, open_record, read_record

CORPORA = [
    *("ptb-xl/records100", "ptb-xl/records500", "cpsc2018-text-dx", "code-15-wfdb", "challenge-2011"),
    *("challenge-2017/training2017", "ludb/data", "mitdb", "ahadb", "cpsc2021", "ptbdb"),
    *(f"challenge-2021/training/{source}" for source in ("cpsc_2018", "cpsc_2018_extra", "ptb", "ptb-xl", "georgia")),
    *(f"challenge-2021/training/{source}" for source in ("chapman_shaoxing", "ningbo")),
]
RECORDS_PER_CORPUS = 8
MILLIVOLTS = {"mv": 1.0, "uv": 1e-3}


def corpus_folder(records_dir: Path, corpus: str) -> Path:
    folder = records_dir / corpus
    if not folder.is_dir():
        pytest.skip(f"needs {corpus}, which is not among the real records")
    return folder


def read_quietly(path: Path, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # leads called "ECG" are the rule in two corpora
        return read_record(path, **kwargs)


def open_quietly(path: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return open_record(path)


@pytest.mark.parametrize("corpus", CORPORA)
def test_millivolts_agree_with_wfdb_to_half_a_step(records_dir, corpus):
    records = find_records(corpus_folder(records_dir, corpus))
    for path in records[:: max(1, len(records) // RECORDS_PER_CORPUS)]:
        record, reference = read_quietly(path), wfdb.rdrecord(str(path))
        factors = np.array([[MILLIVOLTS[unit.lower()]] for unit in reference.units])
        half_steps = 0.5 * factors / np.abs(np.array(reference.adc_gain))[:, None]
        expected = reference.p_signal.T * factors
        assert record.sampling_rate == reference.fs
        assert record.signal_mv.dtype == np.float32 and record.signal_mv.shape == expected.shape
        np.testing.assert_array_equal(np.isnan(record.signal_mv), np.isnan(expected))
        assert np.nanmax(np.abs(record.signal_mv - expected) / half_steps, initial=0.0) < 1.0, path
        assert record.age_years is None or 0 <= record.age_years <= 90
        assert record.sex in (0, 1, None)


@pytest.mark.parametrize("corpus", CORPORA)
def test_blocks_and_pieces_are_those_of_the_whole(records_dir, corpus):
    records = find_records(corpus_folder(records_dir, corpus))
    for path in records[:: max(1, len(records) // RECORDS_PER_CORPUS)]:
        record, source = read_quietly(path), open_quietly(path)
        with source:
            blocks = list(source.blocks(record.duration_s / 6.4))
            assert len(blocks) == 7
            np.testing.assert_array_equal(np.concatenate(blocks, axis=1), record.signal_mv)
            start = record.n_samples // 3 | 1
            np.testing.assert_array_equal(source.read(start, start + 333), record.signal_mv[:, start : start + 333])
            assert source.to_record() == record


def test_a_recording_reads_the_same_from_edf_and_wfdb(records_dir):
    folder = corpus_folder(records_dir, "ahadb")
    wfdb_record, edf_record = read_quietly(folder / "0201"), read_quietly(folder / "0201.edf")
    # The EDF file ends with a whole data record of ten seconds, filled with the lowest code.
    assert (wfdb_record.n_samples, edf_record.n_samples) == (525_000, 527_500)
    np.testing.assert_allclose(edf_record.signal_mv[:, :525_000], wfdb_record.signal_mv, atol=1e-6)
    assert np.isnan(edf_record.signal_mv[:, 525_000:]).all()
    assert (edf_record.lead_names, edf_record.sampling_rate) == (wfdb_record.lead_names, 250.0)
    assert edf_record.comments == ("Startdate not recorded",) and edf_record.recorded_at is None
    assert find_records(folder) == [folder / "0201"]


def test_headers_whose_signals_are_absent_say_so(records_dir):
    folder = corpus_folder(records_dir, "challenge-2021/training/st_petersburg_incart")
    for path in find_records(folder):
        with pytest.raises(MissingFileError, match=rf"{path.name}\.mat: expected the signal file"):
            read_record(path)


def test_the_same_recording_reads_the_same_from_two_corpora(records_dir):
    original = read_record(corpus_folder(records_dir, "ptb-xl") / "records500/00000/00001_hr")
    copy = read_record(corpus_folder(records_dir, "challenge-2021") / "training/ptb-xl/g1/HR00001")
    np.testing.assert_array_equal(original.signal_mv, copy.signal_mv)
    assert original.lead_names == copy.lead_names
    assert (copy.age_years, copy.sex, copy.labels) == (56.0, 1, ("251146004", "426783006"))
    assert copy.recorded_at == datetime(2020, 6, 4, 15, 11, 55)


def test_annotations_of_a_beat_corpus_read_in_seconds(records_dir):
    record = read_record(corpus_folder(records_dir, "mitdb") / "100", annotations=True)
    assert (record.lead_names, record.age_years, record.sex) == (("MLII", "V5"), 69.0, 0)
    assert record.annotations[0] == Annotation(18 / 360, "+", "(N")
    assert len(record.annotations) == 2274 and record.annotations[-1].time_s < record.duration_s


def test_leads_without_a_name_are_unknown_and_said(records_dir):
    with pytest.warns(UserWarning, match=r"'ECG' \(lead 1\), 'ECG' \(lead 2\)"):
        record = read_record(corpus_folder(records_dir, "ahadb") / "0201")
    assert record.lead_names == ("unknown", "unknown")


def test_patients_are_told_in_every_corpus_own_way(records_dir):
    georgia = read_record(corpus_folder(records_dir, "challenge-2021") / "training/georgia/g1/E00001")
    assert (georgia.age_years, georgia.sex, georgia.labels) == (None, 1, ("426783006",))
    code = read_record(corpus_folder(records_dir, "code-15-wfdb") / "11111")
    assert (code.patient_id, code.age_years, code.sex) == ("911235", 28.0, 1)
    ludb = read_record(corpus_folder(records_dir, "ludb") / "data/132")
    assert (ludb.age_years, ludb.sex) == (71.0, 0)
    assert "Rhythm: Irregular sinus rhythm." in ludb.comments
    assert read_record(corpus_folder(records_dir, "cpsc2018-text-dx") / "A0026").labels == ("AF",)
    ptb_xl = read_record(corpus_folder(records_dir, "ptb-xl") / "records100/00000/00501_lr")
    assert (ptb_xl.age_years, ptb_xl.weight_kg, ptb_xl.height_cm) == (69.0, 65.0, 167.0)


def test_the_tables_of_labels_are_not_taken_for_records(records_dir):
    for corpus in ("ptb-xl", "ludb", "challenge-2011", "challenge-2017", "ahadb"):
        records = find_records(corpus_folder(records_dir, corpus))
        assert all(path.with_name(f"{path.name}.hea").is_file() for path in records)
