# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""AnyECG for the Hugging Face ecosystem. Importing it registers the models with the Auto classes.

`TINY` is the path of the embedded checkpoint: pass it to any `from_pretrained`.
"""

from pathlib import Path

from anyecg_hf.models.anyecg import (
    LEAD_NAMES,
    AnyECGConfig,
    AnyECGForLongRecordClassification,
    AnyECGForMaskedCodeModeling,
    AnyECGForSequenceClassification,
    AnyECGModel,
    AnyECGQuantizerConfig,
    AnyECGRhythmQuantizer,
    AnyECGTokenizer,
)
from anyecg_hf.version import __version__

TINY = str(Path(__file__).parent / "checkpoints" / "anyecg-tiny")

__all__ = [
    "LEAD_NAMES",
    "TINY",
    "AnyECGConfig",
    "AnyECGForLongRecordClassification",
    "AnyECGForMaskedCodeModeling",
    "AnyECGForSequenceClassification",
    "AnyECGModel",
    "AnyECGQuantizerConfig",
    "AnyECGRhythmQuantizer",
    "AnyECGTokenizer",
    "__version__",
]
