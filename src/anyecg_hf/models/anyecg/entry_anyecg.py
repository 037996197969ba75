# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""All classes that Auto classes and pipelines load, in one module: for the registration, and beside a checkpoint.

transformers copies the code once for each module that `auto_map` and `custom_pipelines` name, and the classes of one
copy are strangers to those of another. With a single module there is one copy.
"""

from .requirements_anyecg import pywt  # noqa: F401 - first, for its message

# isort: split
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
from .configuration_anyecg import AnyECGConfig, AnyECGQuantizerConfig
from .modeling_anyecg import AnyECGForMaskedCodeModeling, AnyECGModel
from .modeling_anyecg_long_records import AnyECGForLongRecordClassification
from .modeling_anyecg_quantizer import AnyECGRhythmQuantizer
from .modeling_anyecg_reconstruction import AnyECGForLeadReconstruction
from .modeling_anyecg_tasks import AnyECGForSequenceClassification
from .modeling_anyecg_tokens import AnyECGForTokenClassification
from .pipelines_anyecg import (
    ECGAnomalyDetectionPipeline,
    ECGClassificationPipeline,
    ECGFeatureExtractionPipeline,
    ECGLeadReconstructionPipeline,
    ECGTokenizationPipeline,
)
from .presets_anyecg import IS_REMOTE_CODE
from .tokenization_anyecg import AnyECGTokenizer

# What each Auto class loads for a config.
AUTO_CLASSES = {
    AnyECGConfig: {
        AutoConfig: AnyECGConfig,
        AutoFeatureExtractor: AnyECGTokenizer,
        AutoModel: AnyECGModel,
        AutoModelForPreTraining: AnyECGForMaskedCodeModeling,
        AutoModelForMaskedLM: AnyECGForMaskedCodeModeling,
        AutoModelForSequenceClassification: AnyECGForSequenceClassification,
        AutoModelForAudioClassification: AnyECGForSequenceClassification,
        AutoModelForTokenClassification: AnyECGForTokenClassification,
        AutoModelForAudioFrameClassification: AnyECGForTokenClassification,
        AutoModelForECGReconstruction: AnyECGForLeadReconstruction,
    },
    AnyECGQuantizerConfig: {
        AutoConfig: AnyECGQuantizerConfig,
        AutoModel: AnyECGRhythmQuantizer,
        AutoModelForAudioTokenization: AnyECGRhythmQuantizer,
    },
}

# Heads that no Auto class of transformers loads: beside a checkpoint of one, `auto_map` gives it to `AutoModel`.
HEADS_WITHOUT_AUTO_CLASS = (AnyECGForLeadReconstruction, AnyECGForLongRecordClassification)

# What `transformers.pipeline` makes for a task, and the Auto class that loads its model. Where transformers has none
# that does, the pipeline makes of the backbone what it needs.
PIPELINES = {
    "ecg-classification": (ECGClassificationPipeline, AutoModelForSequenceClassification),
    "ecg-anomaly-detection": (ECGAnomalyDetectionPipeline, AutoModelForSequenceClassification),
    "ecg-feature-extraction": (ECGFeatureExtractionPipeline, AutoModel),
    "ecg-lead-reconstruction": (ECGLeadReconstructionPipeline, AutoModel),
    "ecg-tokenization": (ECGTokenizationPipeline, AutoModel),
}


def register_auto_classes() -> None:
    """Tells transformers' Auto classes and our own what to load; may be called again."""
    for config_class, loaded in AUTO_CLASSES.items():
        for auto_class, found in loaded.items():
            key = config_class.model_type if auto_class is AutoConfig else config_class
            auto_class.register(key, found, exist_ok=True)


if IS_REMOTE_CODE:
    # The class is this copy's own. transformers' are everybody's, and nobody asked to have these classes in them.
    AutoModelForECGReconstruction.register(AnyECGConfig, AnyECGForLeadReconstruction, exist_ok=True)
    # Saving copies the module of a class with all that it imports, and names it in `auto_map`: that shall be this one.
    for _class in {
        *HEADS_WITHOUT_AUTO_CLASS,
        *(pipeline for pipeline, _ in PIPELINES.values()),
        *(found for loaded in AUTO_CLASSES.values() for found in loaded.values()),
    }:
        _class.__module__ = __name__


__all__ = ["AUTO_CLASSES", "HEADS_WITHOUT_AUTO_CLASS", "PIPELINES", "register_auto_classes"]
