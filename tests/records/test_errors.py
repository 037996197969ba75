# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Errors say file, expectation, finding and advice, and travel between processes."""

import pickle
from pathlib import Path

import pytest

from anyecg_hf.records import MissingFileError, RecordError, TruncatedFileError, UnknownFormatError, UnsafeHeaderError

ERRORS = [RecordError, MissingFileError, TruncatedFileError, UnknownFormatError, UnsafeHeaderError]


def test_the_message_has_file_expectation_finding_and_advice():
    error = RecordError(Path("a.dat"), "120 bytes", "60 bytes", "Fetch it again.")
    assert str(error) == "a.dat: expected 120 bytes, found 60 bytes. Fetch it again."
    assert str(RecordError("a.dat", "this", "that")) == "a.dat: expected this, found that."


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_is_a_value_error_and_survives_pickling(kind):
    error = kind("a.dat", "this", "that", "Do so.")
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, ValueError) and type(copy) is kind
    assert str(copy) == str(error) and copy.path == "a.dat"


def test_a_missing_file_is_also_a_file_not_found_error():
    with pytest.raises(FileNotFoundError, match="a.dat: expected this, found that"):
        raise MissingFileError("a.dat", "this", "that")
