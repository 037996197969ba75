# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Records: ECG files of any supported format as [`ECGRecord`], in mV."""

from .errors import MissingFileError, RecordError, TruncatedFileError, UnknownFormatError, UnsafeHeaderError
from .reading import find_records, read_record
from .record import Annotation, ECGRecord

__all__ = [
    "Annotation",
    "ECGRecord",
    "MissingFileError",
    "RecordError",
    "TruncatedFileError",
    "UnknownFormatError",
    "UnsafeHeaderError",
    "find_records",
    "read_record",
]
