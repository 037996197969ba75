# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json
import shutil

import numpy as np
import pytest
import torch
from tests.cli.conftest import LEADS
from tests.training.written_records import ecg_counts, write_wfdb

from anyecg_hf import AnyECGTokenizer
from anyecg_hf.models.anyecg import LEAD_NAMES
from anyecg_hf.pipelines import RecordAnalyzer
from anyecg_hf.records import read_record

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def rows(anyecg, checkpoint, half_flat, own_folder) -> list[dict]:
    """Rows written for two records: 40 patches of three leads, one of them flat, and 12 patches of one lead."""
    write_wfdb(own_folder / "small", ecg_counts(1, leads=1, seconds=3))
    outcome = anyecg("tokenize", "half_flat", "small", "-o", "codes.parquet", "--model", checkpoint)
    assert (outcome.status, outcome.out, outcome.errors) == (0, "2 records written to codes.parquet\n", [])
    return parquet.read_table(own_folder / "codes.parquet").to_pylist()


def test_the_table_says_what_decoding_needs(rows, own_folder):
    assert [row["record"] for row in rows] == ["half_flat", "small"]
    assert [row["lead_names"] for row in rows] == [list(LEADS), ["I"]]
    assert [row["patch_s"] for row in rows] == [0.25, 0.25]
    schema = parquet.read_schema(own_folder / "codes.parquet")
    assert schema.names == ["record", "lead_names", "patch_s", "scale_mv", "codes"]
    innermost = schema.field("codes").type.value_type.value_type
    assert innermost == pyarrow.int32()


def test_codes_come_back_as_they_were(rows, checkpoint, half_flat):
    analyzer = RecordAnalyzer(checkpoint)
    with pytest.warns(UserWarning, match="V1"):
        cleaned = analyzer.clean(read_record(half_flat))
    np.testing.assert_array_equal(rows[0]["codes"], analyzer.encode(cleaned))
    assert rows[0]["scale_mv"] == cleaned.scale
    assert set(rows[0]["codes"][2]) == {-1}
    assert np.shape(rows[1]["codes"]) == (1, 12)


@torch.no_grad()
def test_the_table_alone_gives_the_waveform_back(rows, checkpoint, half_flat):
    tokenizer = AnyECGTokenizer.from_pretrained(checkpoint)
    row = rows[0]
    lead_ids = [[LEAD_NAMES.index(name) for name in row["lead_names"]]]
    waveform = tokenizer.decode([row["codes"]], lead_ids, [row["scale_mv"]])[0]
    analyzer = RecordAnalyzer(checkpoint)
    with pytest.warns(UserWarning, match="V1"):
        expected = analyzer.analyse(read_record(half_flat)).reconstruction_mv
    np.testing.assert_allclose(waveform, expected, atol=1e-6)


def test_unreadable_records_are_reported_and_the_others_are_written(anyecg, checkpoint, record, truncated, own_folder):
    outcome = anyecg("tokenize", str(own_folder), "-o", "codes.parquet", "--model", checkpoint)
    assert outcome.status == 1
    assert outcome.out == "1 records written to codes.parquet\n"
    assert outcome.errors[0] == "1 record could not be used:" and "truncated.dat" in outcome.errors[1]
    assert parquet.read_table(own_folder / "codes.parquet").num_rows == 1


def test_only_parquet_holds_codes_of_different_sizes(anyecg, record):
    outcome = anyecg("tokenize", "rec", "-o", "codes.npy", "--model", "/no/such/checkpoint")
    assert (outcome.status, outcome.errors) == (1, ["anyecg tokenize: the output must end in .parquet, got codes.npy."])


def test_a_checkpoint_without_a_quantizer_is_one_error(anyecg, checkpoint, record, own_folder):
    shutil.copytree(checkpoint, own_folder / "copy", ignore=shutil.ignore_patterns("quantizer"))
    outcome = anyecg("tokenize", "rec", "-o", "codes.parquet", "--model", "copy")
    assert outcome.status == 1
    assert len(outcome.errors) == 1 and "this tokenizer has no quantizer" in outcome.errors[0]


def test_json_says_what_was_written_and_what_failed(anyecg, checkpoint, record, own_folder):
    outcome = anyecg("tokenize", "nowhere", "rec", "-o", "codes.parquet", "--json", "--model", checkpoint)
    assert outcome.status == 1
    assert json.loads(outcome.out) == {
        "output": "codes.parquet",
        "records": 1,
        "failures": [
            {"path": "nowhere", "error": "nowhere: expected a record, a folder or a glob, found none of them."}
        ],
    }
    assert parquet.read_table(own_folder / "codes.parquet").num_rows == 1
