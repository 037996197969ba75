# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The pipelines that travel with a checkpoint, which here read files too."""

import os
from typing import Any

from anyecg_hf.models.anyecg import pipelines_anyecg


class _ReadsFiles:
    """Stands before a pipeline in the bases: a path in any format of [`read_record`] is a record too."""

    def _read_path(self, path: str | os.PathLike, stated: dict[str, Any]) -> Any:
        # Here, so that importing the package does not import the readers.
        from anyecg_hf.records import read_record

        return read_record(path, **stated)


class ECGClassificationPipeline(_ReadsFiles, pipelines_anyecg.ECGClassificationPipeline):
    __doc__ = pipelines_anyecg.ECGClassificationPipeline.__doc__


class ECGAnomalyDetectionPipeline(_ReadsFiles, pipelines_anyecg.ECGAnomalyDetectionPipeline):
    __doc__ = pipelines_anyecg.ECGAnomalyDetectionPipeline.__doc__


class ECGFeatureExtractionPipeline(_ReadsFiles, pipelines_anyecg.ECGFeatureExtractionPipeline):
    __doc__ = pipelines_anyecg.ECGFeatureExtractionPipeline.__doc__


class ECGLeadReconstructionPipeline(_ReadsFiles, pipelines_anyecg.ECGLeadReconstructionPipeline):
    __doc__ = pipelines_anyecg.ECGLeadReconstructionPipeline.__doc__


class ECGTokenizationPipeline(_ReadsFiles, pipelines_anyecg.ECGTokenizationPipeline):
    __doc__ = pipelines_anyecg.ECGTokenizationPipeline.__doc__


__all__ = [
    "ECGAnomalyDetectionPipeline",
    "ECGClassificationPipeline",
    "ECGFeatureExtractionPipeline",
    "ECGLeadReconstructionPipeline",
    "ECGTokenizationPipeline",
]
