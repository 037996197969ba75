# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Records: ECG files of any supported format as [`ECGRecord`], or piece by piece as [`RecordSource`], in mV."""

from .errors import MissingFileError, RecordError, TruncatedFileError, UnknownFormatError, UnsafeHeaderError
from .hdf5_reader import CodeTracings
from .reading import find_format, find_records, open_record, read_record
from .record import Annotation, ECGRecord
from .source import ArraySource, RecordFacts, RecordSource
from .stored_signal import StoredSignal

__all__ = [
    "Annotation",
    "ArraySource",
    "CodeTracings",
    "ECGRecord",
    "MissingFileError",
    "RecordError",
    "RecordFacts",
    "RecordSource",
    "StoredSignal",
    "TruncatedFileError",
    "UnknownFormatError",
    "UnsafeHeaderError",
    "find_format",
    "find_records",
    "open_record",
    "read_record",
]
