# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""From a checkpoint to answers about records."""

from .record_analysis import ClassProbability, RecordAnalysis, RecordAnalyzer, WindowEmbedding

__all__ = ["ClassProbability", "RecordAnalysis", "RecordAnalyzer", "WindowEmbedding"]
