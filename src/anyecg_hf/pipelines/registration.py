# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Tells `transformers.pipeline` our tasks, and which class loads the model of each."""

import os
from typing import Any

from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PreTrainedModel
from transformers.pipelines import PIPELINE_REGISTRY

from anyecg_hf.models.anyecg import (
    AnyECGConfig,
    AnyECGForLongRecordClassification,
    AnyECGRhythmQuantizer,
    AutoModelForECGReconstruction,
)
from anyecg_hf.models.anyecg.checkpoint_files_anyecg import HUB_ARGUMENTS
from anyecg_hf.models.anyecg.tokenization_anyecg import QUANTIZER_SUBFOLDER

from . import record_pipelines


class RhythmQuantizerOfCheckpoint:
    """Loads a checkpoint's rhythm quantizer: no Auto class finds a model in a subfolder."""

    @classmethod
    def from_pretrained(cls, name_or_path: str | os.PathLike, **kwargs: Any) -> AnyECGRhythmQuantizer:
        """The quantizer in `quantizer/`, or of a checkpoint that is one; arguments as in `transformers`."""
        config = AutoConfig.from_pretrained(name_or_path, **_where(kwargs))
        subfolder = QUANTIZER_SUBFOLDER if isinstance(config, AnyECGConfig) else ""
        return AnyECGRhythmQuantizer.from_pretrained(name_or_path, subfolder=subfolder, **kwargs)


class ClassifierOfCheckpoint:
    """Loads a checkpoint's classifier: no Auto class knows the one for long records."""

    @classmethod
    def from_pretrained(cls, name_or_path: str | os.PathLike, **kwargs: Any) -> PreTrainedModel:
        """The head that the checkpoint was saved with, or the one for records whole; arguments as in `transformers`."""
        config = AutoConfig.from_pretrained(name_or_path, **_where(kwargs))
        if config.architectures == [AnyECGForLongRecordClassification.__name__]:
            return AnyECGForLongRecordClassification.from_pretrained(name_or_path, **kwargs)
        return AutoModelForSequenceClassification.from_pretrained(name_or_path, **kwargs)


def _where(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: kwargs[name] for name in HUB_ARGUMENTS if name in kwargs}


_TASKS = {
    "ecg-classification": (record_pipelines.ECGClassificationPipeline, ClassifierOfCheckpoint),
    "ecg-anomaly-detection": (record_pipelines.ECGAnomalyDetectionPipeline, ClassifierOfCheckpoint),
    "ecg-feature-extraction": (record_pipelines.ECGFeatureExtractionPipeline, AutoModel),
    "ecg-lead-reconstruction": (record_pipelines.ECGLeadReconstructionPipeline, AutoModelForECGReconstruction),
    "ecg-tokenization": (record_pipelines.ECGTokenizationPipeline, RhythmQuantizerOfCheckpoint),
}


class _ForeignCustomPipelines:
    """
    `custom_pipelines` of a configuration without our own tasks.

    `transformers.pipeline` prefers what a checkpoint names there to what is registered, and then insists on
    `trust_remote_code`. With the package no remote code is needed, and what it saves carries none.
    """

    def __get__(self, config: Any, owner: type) -> dict[str, Any]:
        return {} if config is None else config.__dict__.get("custom_pipelines", {})

    def __set__(self, config: Any, value: dict[str, Any] | None) -> None:
        foreign = {task: entry for task, entry in (value or {}).items() if task not in _TASKS}
        if foreign:
            config.__dict__["custom_pipelines"] = foreign
        else:
            config.__dict__.pop("custom_pipelines", None)


def register_pipelines() -> None:
    """Registers the tasks; may be called again, and leaves a task alone that somebody has entered before."""
    for task, (pipeline_class, auto_class) in _TASKS.items():
        if task not in PIPELINE_REGISTRY.supported_tasks:
            PIPELINE_REGISTRY.register_pipeline(task, pipeline_class, pt_model=auto_class, type="audio")
            # For this mark, saving a pipeline would write code beside the weights, which is done at publishing only.
            del pipeline_class._registered_impl
    AnyECGConfig.custom_pipelines = _ForeignCustomPipelines()


__all__ = ["ClassifierOfCheckpoint", "RhythmQuantizerOfCheckpoint", "register_pipelines"]
