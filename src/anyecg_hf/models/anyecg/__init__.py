# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""AnyECG: configuration, tokenizer, quantizer, backbone and heads; importing registers them with the Auto classes."""

from .auto_anyecg import AutoModelForECGReconstruction
from .cleaning_anyecg import CleanedECG
from .configuration_anyecg import LEAD_NAMES, AnyECGConfig, AnyECGQuantizerConfig
from .entry_anyecg import register_auto_classes
from .lead_statistics_anyecg import fit_lead_covariance
from .modeling_anyecg import AnyECGForMaskedCodeModeling, AnyECGModel, AnyECGPreTrainedModel, masked_code_loss
from .modeling_anyecg_long_records import AnyECGForLongRecordClassification, AnyECGLongRecordOutput
from .modeling_anyecg_quantizer import AnyECGQuantizerOutput, AnyECGRhythmQuantizer
from .modeling_anyecg_reconstruction import AnyECGForLeadReconstruction, AnyECGReconstructionOutput
from .modeling_anyecg_tasks import AnyECGForSequenceClassification
from .modeling_anyecg_tokens import AnyECGForTokenClassification
from .streaming_anyecg import ECGWindow, RecordStatistics
from .tokenization_anyecg import AnyECGTokenizer

register_auto_classes()


__all__ = [
    "LEAD_NAMES",
    "AnyECGConfig",
    "AnyECGForLeadReconstruction",
    "AnyECGForLongRecordClassification",
    "AnyECGForMaskedCodeModeling",
    "AnyECGForSequenceClassification",
    "AnyECGForTokenClassification",
    "AnyECGLongRecordOutput",
    "AnyECGModel",
    "AnyECGPreTrainedModel",
    "AnyECGQuantizerConfig",
    "AnyECGQuantizerOutput",
    "AnyECGReconstructionOutput",
    "AnyECGRhythmQuantizer",
    "AnyECGTokenizer",
    "AutoModelForECGReconstruction",
    "CleanedECG",
    "ECGWindow",
    "RecordStatistics",
    "fit_lead_covariance",
    "masked_code_loss",
]
