# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""From a checkpoint to answers about records."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Loaded when asked for: `import anyecg_hf` registers the pipelines of this package and needs no more of it.
_ANALYSIS = ("ClassProbability", "RecordAnalysis", "RecordAnalyzer", "WindowEmbedding")

if TYPE_CHECKING:
    from .record_analysis import ClassProbability, RecordAnalysis, RecordAnalyzer, WindowEmbedding


def __getattr__(name: str) -> Any:
    if name in _ANALYSIS:
        return getattr(import_module(f"{__name__}.record_analysis"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["ClassProbability", "RecordAnalysis", "RecordAnalyzer", "WindowEmbedding"]
