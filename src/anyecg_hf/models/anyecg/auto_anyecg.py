# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The Auto class for a task that transformers has none for."""

from collections import OrderedDict

from transformers.models.auto.auto_factory import _BaseAutoModelClass, _LazyAutoMapping
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES


class AutoModelForECGReconstruction(_BaseAutoModelClass):
    """
    Loads any registered model that restores ECG waveforms, by the configuration of a checkpoint.

    Example:

    ```python
    >>> from anyecg_hf import TINY, AutoModelForECGReconstruction

    >>> model = AutoModelForECGReconstruction.from_pretrained(TINY)
    ```
    """

    _model_mapping = _LazyAutoMapping(CONFIG_MAPPING_NAMES, OrderedDict())


__all__ = ["AutoModelForECGReconstruction"]
