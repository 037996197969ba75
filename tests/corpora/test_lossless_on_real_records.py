# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Every real record through its builder and Parquet: bit by bit what the file holds, and wfdb's millivolts."""

from pathlib import Path

import datasets
import h5py
import numpy as np
import pytest
import wfdb

from anyecg_hf.corpora import corpus_builder, load_corpus, stored_signal

# Corpus, its folder below the real records, options, and how many of its records are there.
CHALLENGE = "challenge-2021/training"
CORPORA = [
    ("ptb-xl", "ptb-xl", {"sampling_rate": 100}, 884),
    ("ptb-xl", "ptb-xl", {"sampling_rate": 500}, 296),
    ("ptb-xl", f"{CHALLENGE}/ptb-xl", {}, 34),
    ("cpsc2018", f"{CHALLENGE}/cpsc_2018", {}, 2),
    ("cpsc2018", "cpsc2018-text-dx", {}, 65),
    ("cpsc-extra", f"{CHALLENGE}/cpsc_2018_extra", {}, 15),
    ("ptb", f"{CHALLENGE}/ptb", {}, 5),
    ("ptb", "ptbdb", {}, 2),
    ("georgia", "challenge-2021", {}, 22),
    ("chapman-shaoxing", "challenge-2021", {}, 10),
    ("ningbo", "challenge-2021", {}, 33),
    ("code-15", "code-15-wfdb", {}, None),  # without the records of SaMi-Trop
    ("sph", "sph", {}, 10),
    ("mit-bih", "mitdb", {}, 5),
    ("ludb", "ludb", {}, 150),
    ("cinc2017", "challenge-2017", {}, 220),
    ("cinc2011", "challenge-2011", {}, 300),
    ("folder", "cpsc2021", {}, 9),
    ("folder", "ahadb", {}, 1),
]


@pytest.fixture(scope="module", params=CORPORA, ids=lambda case: f"{case[0]} in {case[1]} {case[2] or ''}".strip())
def case(request):
    return request.param


def wfdb_header_of(root: Path, record_id: str, rate_hz: float) -> Path:
    name = Path(record_id).name
    suffix = {100.0: "_lr", 500.0: "_hr"}.get(rate_hz, "")
    found = [*root.rglob(f"{name}.hea"), *(root.rglob(f"{int(name):05}{suffix}.hea") if name.isdecimal() else ())]
    return found[0]


def test_the_stored_form_and_its_millivolts_survive_parquet(records_dir, tmp_path, case):
    name, folder, options, expected = case
    root = records_dir / folder
    builder = corpus_builder(name, root, cache_dir=tmp_path, **options)
    raw = load_corpus(name, root, raw=True, cache_dir=tmp_path, **options)
    n_records = 0
    for split, part in raw.items():
        part.to_parquet(tmp_path / f"{split}.parquet")
        from_parquet = datasets.Dataset.from_parquet(str(tmp_path / f"{split}.parquet"), cache_dir=str(tmp_path))
        for row in from_parquet:
            n_records += 1
            signal = stored_signal(row["signal"])
            if name == "sph":
                _compare_with_hdf5(signal, root, row)
            else:
                _compare_with_wfdb(signal, wfdb_header_of(root, row["record_id"], row["sampling_rate"]))
    assert n_records > 0 and expected in (None, n_records), builder.report.skipped


def _compare_with_hdf5(signal, root: Path, row: dict) -> None:
    with h5py.File(root / "records" / f"{row['record_id'].replace('A', 'SPH')}.h5") as file:
        samples = file["ecg"][:]
    assert signal.samples.dtype == samples.dtype == np.float16
    assert signal.samples.tobytes() == samples.tobytes()
    np.testing.assert_array_equal(signal.to_millivolts(), samples.astype(np.float32))


def _compare_with_wfdb(signal, header: Path) -> None:
    """`rdrecord` gives what the file holds, and by itself the physical values."""
    record = wfdb.rdrecord(str(header.with_suffix("")), physical=False)
    samples = record.d_signal.T
    assert signal.samples.dtype == np.int16
    np.testing.assert_array_equal(signal.samples, samples)
    np.testing.assert_array_equal(signal.gain, record.adc_gain)
    np.testing.assert_array_equal(signal.baseline, record.baseline)
    per_mv = np.array([1e-3 if unit.lower() == "uv" else 1.0 for unit in record.units])
    physical_mv = record.dac().T * per_mv[:, None]
    half_a_step_mv = 0.5 * per_mv / np.array(record.adc_gain)
    found_mv = signal.to_millivolts()
    np.testing.assert_array_equal(np.isnan(found_mv), np.isnan(physical_mv))
    error_mv = np.nan_to_num(np.abs(found_mv - physical_mv)).max(axis=1)
    assert (error_mv <= half_a_step_mv).all()
