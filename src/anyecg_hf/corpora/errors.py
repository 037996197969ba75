# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Errors of the corpora."""

from ..records import RecordError


class CorpusError(RecordError):
    """A folder is not the corpus that it should be, or a record of a corpus cannot be used."""


__all__ = ["CorpusError"]
