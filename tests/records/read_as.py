# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Reading a file by one format, after it has been recognised by its content, and the names of all formats."""

from pathlib import Path

from anyecg_hf.records import ECGRecord, RecordSource
from anyecg_hf.records.formats import ReadOptions, RecordFormat, read_head

# As messages list them.
FORMAT_NAMES = "HDF5, Parquet, NumPy, EDF, DICOM, SCP-ECG, GE MUSE, Philips, HL7 aECG, WFDB, CSV"


def open_as(format_: RecordFormat, path: Path, **told) -> RecordSource:
    """Opens a file that the format must recognise; `told` is what the caller says about it."""
    if not format_.recognises(path, read_head(path)):
        raise AssertionError(f"{path} is not recognised as {format_.name}")
    return format_.open(path, ReadOptions(**told))


def read_as(format_: RecordFormat, path: Path, *, annotations: bool = False, **told) -> ECGRecord:
    """The whole record of a file that the format must recognise."""
    with open_as(format_, path, **told) as source:
        return source.to_record(annotations=annotations)
