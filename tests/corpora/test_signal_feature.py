# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys

import datasets
import numpy as np
import pytest
import torch
from datasets import Features, Value
from tests.corpora.written_rows import corpus, row, stored

from anyecg_hf.corpora import ECGSignal, stored_signal
from anyecg_hf.corpora.array_feature import BinaryArray
from anyecg_hf.records import StoredSignal

DTYPES = ("int16", "int32", "float16", "float32", "float64")


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_survives_arrow_and_parquet_bit_by_bit(tmp_path, dtype):
    values = np.array([[0, 1, -5, 300], [7, -32768, 32767, 2]]).astype(dtype)
    if values.dtype.kind == "f":
        values[1, 1] = np.nan
    signal = StoredSignal(values, np.array([200.0, 0.5]), np.array([10.0, -3.25]), ("mV", "uV"), (None, -32768))
    dataset = datasets.Dataset.from_list([{"signal": signal}], features=Features({"signal": ECGSignal()}))
    dataset.to_parquet(tmp_path / "a.parquet")
    again = datasets.Dataset.from_parquet(str(tmp_path / "a.parquet"), cache_dir=str(tmp_path))
    for found in (dataset, again):
        np.testing.assert_array_equal(found[0]["signal"], signal.to_millivolts())
        kept = stored_signal(found.cast_column("signal", ECGSignal(decode=False))[0]["signal"])
        assert kept.samples.dtype == dtype
        assert kept.samples.tobytes() == values.tobytes()
        assert (kept.units, kept.missing) == (signal.units, signal.missing)
        np.testing.assert_array_equal(kept.gain, signal.gain)
        np.testing.assert_array_equal(kept.baseline, signal.baseline)


def test_millivolts_can_be_put_in():
    signal_mv = np.array([[0.5, np.nan]], dtype=np.float32)
    dataset = datasets.Dataset.from_list([{"signal": signal_mv}], features=Features({"signal": ECGSignal()}))
    np.testing.assert_array_equal(dataset[0]["signal"], signal_mv)


def test_the_features_of_datasets_work_on_it(tmp_path):
    dataset = corpus([row(0), row(1, seconds=5)])
    expected = dataset[1]["signal"]
    mapped = dataset.map(lambda example: {"seconds": example["signal"].shape[1] / 100})
    mapped.save_to_disk(tmp_path / "saved")
    found = {
        "map": mapped[1],
        "filter": dataset.filter(lambda example: example["signal"].shape[1] == 500)[0],
        "select": dataset.select([1])[0],
        "slice": {"signal": dataset[1:]["signal"][0]},
        "column": {"signal": dataset["signal"][1]},
        "concatenated": datasets.concatenate_datasets([dataset, dataset])[3],
        "saved": datasets.load_from_disk(tmp_path / "saved")[1],
        "stream": list(dataset.to_iterable_dataset())[1],
        "numpy": dataset.with_format("numpy")[1],
    }
    for name, example in found.items():
        assert example["signal"].dtype == np.float32, name
        np.testing.assert_array_equal(example["signal"], expected, err_msg=name)
    assert mapped[1]["seconds"] == 5
    tensor = dataset.with_format("torch")[1]["signal"]
    assert tensor.dtype == torch.float32
    np.testing.assert_array_equal(tensor.numpy(), expected)


def test_a_map_that_looks_at_the_signal_leaves_it_as_stored():
    dataset = corpus([row(0)]).map(lambda example: {"peak_mv": float(np.nanmax(example["signal"]))})
    assert dataset.features["signal"] == ECGSignal()
    kept = stored_signal(dataset.cast_column("signal", ECGSignal(decode=False))[0]["signal"])
    assert kept.samples.tobytes() == stored(2, 4).samples.tobytes()


def kept_form(dataset: datasets.Dataset):
    return stored_signal(dataset.cast_column("signal", ECGSignal(decode=False))[0]["signal"])


def test_a_signal_that_a_map_returns_is_stored_as_returned():
    dataset = corpus([row(0), row(1)])
    shown = dataset[0]["signal"]
    for returned in (lambda example: example, lambda example: {"signal": example["signal"] * 2}):
        mapped = dataset.map(returned)
        assert mapped.features["signal"] == ECGSignal()
        assert kept_form(mapped).samples.dtype == np.float32
    np.testing.assert_array_equal(mapped[0]["signal"], shown * 2)
    assert dataset.class_encode_column("corpus").features["signal"] == ECGSignal()


def test_what_is_no_signal_stays_as_lists():
    dataset = corpus([row(0)])
    for value in ([1.0, 2.0], [[[1.0]]], [[1.0], [1.0, 2.0]], [["a"]]):
        mapped = dataset.map(lambda example, value=value: {"signal": value})
        assert isinstance(mapped.features["signal"], datasets.List)
        assert mapped[0]["signal"] == value


def test_lists_of_millivolts_can_be_cast_to_it():
    signal_mv = [[0.5, None, 1.0], [0.0, 0.25, -1.0]]
    published = Features({"signal": datasets.List(datasets.List(Value("float32")))})
    dataset = datasets.Dataset.from_list([{"signal": signal_mv}, {"signal": None}], features=published)
    cast = dataset.cast_column("signal", ECGSignal())
    np.testing.assert_array_equal(cast[0]["signal"], np.array(signal_mv, dtype=np.float32))
    assert cast[1]["signal"] is None
    with pytest.raises(TypeError, match="expected a signal as lists of numbers"):
        datasets.Dataset.from_dict({"signal": [["a"]]}).cast_column("signal", ECGSignal())


@pytest.mark.parametrize("feature", [ECGSignal(), ECGSignal(decode=False), BinaryArray("float16")])
def test_a_dataset_card_can_name_it(feature):
    features = Features({"signal": feature})
    assert Features._from_yaml_list(features._to_yaml_list()) == features
    assert Features.from_dict(features.to_dict()) == features


def test_decoding_can_be_off():
    feature = ECGSignal(decode=False)
    with pytest.raises(RuntimeError, match=r"ECGSignal\(decode=True\)"):
        feature.decode_example(ECGSignal().encode_example(stored(1, 1)))
    assert feature.flatten().keys() == {"samples", "dtype", "gain", "baseline", "unit", "missing"}
    assert ECGSignal().flatten() == ECGSignal()
    assert feature.flatten()["samples"] == Value("large_binary")


def test_no_warning_is_shown_when_the_feature_is_registered():
    command = [sys.executable, "-W", "error::UserWarning", "-c", "import anyecg_hf.corpora.signal_feature"]
    subprocess.run(command, check=True)
