# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""AnyECG for the Hugging Face ecosystem. Importing it registers the models with the Auto classes
and with PEFT, and the tasks of `transformers.pipeline`.

`TINY` is the path of the embedded checkpoint: pass it to any `from_pretrained`.
"""

from pathlib import Path

from anyecg_hf.hub.class_methods import set_push_methods
from anyecg_hf.models.anyecg import (
    LEAD_NAMES,
    AnyECGConfig,
    AnyECGForLeadReconstruction,
    AnyECGForLongRecordClassification,
    AnyECGForMaskedCodeModeling,
    AnyECGForSequenceClassification,
    AnyECGForTokenClassification,
    AnyECGModel,
    AnyECGQuantizerConfig,
    AnyECGRhythmQuantizer,
    AnyECGTokenizer,
    AutoModelForECGReconstruction,
)
from anyecg_hf.peft_registration import register_with_peft
from anyecg_hf.pipelines.registration import register_pipelines
from anyecg_hf.version import __version__

register_with_peft()
register_pipelines()
set_push_methods()

TINY = str(Path(__file__).parent / "checkpoints" / "anyecg-tiny")

__all__ = [
    "LEAD_NAMES",
    "TINY",
    "AnyECGConfig",
    "AnyECGForLeadReconstruction",
    "AnyECGForLongRecordClassification",
    "AnyECGForMaskedCodeModeling",
    "AnyECGForSequenceClassification",
    "AnyECGForTokenClassification",
    "AnyECGModel",
    "AnyECGQuantizerConfig",
    "AnyECGRhythmQuantizer",
    "AnyECGTokenizer",
    "AutoModelForECGReconstruction",
    "__version__",
]
