# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`CORPORA`: every corpus by its name."""

from .building import ECGCorpusBuilder
from .georgia import Georgia

CORPORA: dict[str, type[ECGCorpusBuilder]] = {builder.description.name: builder for builder in (Georgia,)}

__all__ = ["CORPORA"]
