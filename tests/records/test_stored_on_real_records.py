# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Every real record: its samples are those of the file, bit by bit, and its millivolts those of wfdb."""

import warnings

import numpy as np
import pyedflib
import pytest
import wfdb
from tests.records.test_real_records import CORPORA, MILLIVOLTS, corpus_folder, open_quietly

from anyecg_hf.records import find_records, open_record, read_record

h5py = pytest.importorskip("h5py")

TWELVE_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


@pytest.mark.parametrize("corpus", CORPORA)
def test_every_record_is_stored_bit_by_bit_and_means_what_wfdb_says(records_dir, corpus):
    for path in find_records(corpus_folder(records_dir, corpus)):
        reference = wfdb.rdrecord(str(path), physical=False)
        with open_quietly(path) as source:
            stored = source.read_stored(0, source.n_samples)
        assert stored.samples.dtype == np.int16, path
        np.testing.assert_array_equal(stored.samples, reference.d_signal.T, err_msg=str(path))
        assert stored.gain.tolist() == reference.adc_gain and stored.baseline.tolist() == reference.baseline, path
        assert list(stored.units) == reference.units, path
        # wfdb calculates in float64, and so do we until the last step.
        factors = np.array([[MILLIVOLTS[unit.lower()]] for unit in reference.units])
        expected = (reference.dac().T * factors).astype(np.float32)
        np.testing.assert_array_equal(stored.to_millivolts(), expected, err_msg=str(path))


def test_codes_of_an_edf_file_are_those_of_pyedflib(records_dir):
    path = corpus_folder(records_dir, "ahadb") / "0201.edf"
    with open_quietly(path) as source:
        stored = source.read_stored(0, source.n_samples)
    with pyedflib.EdfReader(str(path)) as reader:
        channels = range(reader.signals_in_file)
        digital = np.stack([reader.readSignal(channel, digital=True) for channel in channels])
        physical_mv = np.stack([reader.readSignal(channel) for channel in channels])
    assert stored.samples.dtype == np.int16
    np.testing.assert_array_equal(stored.samples, digital)
    is_real = digital != stored.missing[0]
    np.testing.assert_allclose(stored.to_millivolts()[is_real], physical_mv[is_real], rtol=1e-6, atol=1e-9)
    assert np.isnan(stored.to_millivolts()[~is_real]).all() and is_real.mean() > 0.99


def test_half_precision_of_sph_is_kept_and_not_guessed_about(records_dir):
    paths = find_records(corpus_folder(records_dir, "sph"))
    assert len(paths) > 1
    told = {"sampling_rate": 500, "lead_names": TWELVE_LEADS, "unit": "mV"}
    for path in paths:
        with h5py.File(path) as file, open_record(path, **told) as source:
            expected = file["ecg"][()]
            stored = source.read_stored(0, source.n_samples)
        assert stored.samples.dtype == np.float16 and stored.samples.tobytes() == expected.tobytes(), path
        np.testing.assert_array_equal(stored.to_millivolts(), expected.astype(np.float32))
        with pytest.raises(ValueError, match="expected a unit of the samples, found none in the file"):
            read_record(path, sampling_rate=500, lead_names=TWELVE_LEADS)


@pytest.mark.parametrize("corpus", CORPORA)
def test_records_without_identity_keep_signal_codes_sex_and_age(records_dir, corpus):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        record = read_record(find_records(corpus_folder(records_dir, corpus))[0], annotations=True)
    stripped = record.without_identity()
    assert stripped.signal_mv is record.signal_mv and stripped.lead_names == record.lead_names
    assert (stripped.labels, stripped.sex, stripped.age_years) == (record.labels, record.sex, record.age_years)
    gone = (stripped.record_id, stripped.patient_id, stripped.recorded_at, stripped.comments, stripped.source)
    assert gone == (None, None, None, (), None)
    if record.annotations is not None:
        assert [found.time_s for found in stripped.annotations] == [found.time_s for found in record.annotations]
