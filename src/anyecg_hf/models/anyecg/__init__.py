# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""AnyECG: configuration, tokenizer, quantizer, backbone and heads; importing registers them with the Auto classes."""

from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForAudioClassification,
    AutoModelForAudioFrameClassification,
    AutoModelForAudioTokenization,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from .auto_anyecg import AutoModelForECGReconstruction
from .cleaning_anyecg import CleanedECG
from .configuration_anyecg import LEAD_NAMES, AnyECGConfig, AnyECGQuantizerConfig
from .lead_statistics_anyecg import fit_lead_covariance
from .modeling_anyecg import AnyECGForMaskedCodeModeling, AnyECGModel, AnyECGPreTrainedModel, masked_code_loss
from .modeling_anyecg_long_records import AnyECGForLongRecordClassification, AnyECGLongRecordOutput
from .modeling_anyecg_quantizer import AnyECGQuantizerOutput, AnyECGRhythmQuantizer
from .modeling_anyecg_reconstruction import AnyECGForLeadReconstruction, AnyECGReconstructionOutput
from .modeling_anyecg_tasks import AnyECGForSequenceClassification
from .modeling_anyecg_tokens import AnyECGForTokenClassification
from .streaming_anyecg import ECGWindow, RecordStatistics
from .tokenization_anyecg import AnyECGTokenizer

_AUTO_MODELS = {
    AnyECGModel: (AutoModel,),
    AnyECGForMaskedCodeModeling: (AutoModelForPreTraining, AutoModelForMaskedLM),
    AnyECGForSequenceClassification: (AutoModelForSequenceClassification, AutoModelForAudioClassification),
    AnyECGForTokenClassification: (AutoModelForTokenClassification, AutoModelForAudioFrameClassification),
    AnyECGForLeadReconstruction: (AutoModelForECGReconstruction,),
    AnyECGRhythmQuantizer: (AutoModel, AutoModelForAudioTokenization),
}

for _config_class in (AnyECGConfig, AnyECGQuantizerConfig):
    AutoConfig.register(_config_class.model_type, _config_class, exist_ok=True)
for _model_class, _auto_classes in _AUTO_MODELS.items():
    for _auto_class in _auto_classes:
        _auto_class.register(_model_class.config_class, _model_class, exist_ok=True)
AutoFeatureExtractor.register(AnyECGConfig, AnyECGTokenizer, exist_ok=True)


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
