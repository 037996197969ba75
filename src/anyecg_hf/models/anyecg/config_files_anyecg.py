# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""How a configuration comes out of its file."""

import os
from dataclasses import fields
from pathlib import Path
from typing import Any

from .checkpoint_files_anyecg import loading, read_json
from .compatibility_anyecg import check_config_file
from .limits_anyecg import check_label_count


class AnyECGConfigFileMixin:
    """Stands before `PreTrainedConfig` in the bases of our configurations: a file is checked before it is used."""

    @classmethod
    def get_config_dict(cls, pretrained_model_name_or_path: str | os.PathLike, **kwargs: Any):
        """As in `transformers`, but no file is an error, which names the checkpoint: it would mean all defaults."""
        with loading(pretrained_model_name_or_path, cls.__name__):
            found, rest = super().get_config_dict(pretrained_model_name_or_path, **kwargs)
            if not found:
                part = f", subfolder {kwargs['subfolder']!r}" if kwargs.get("subfolder") else ""
                place = repr(str(pretrained_model_name_or_path))
                raise OSError(f"expected a config.json with fields in {place}{part}, found none.")
        return found, rest

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any):
        """As in `transformers`. Raises `ValueError` for what is not of this version or asks too much."""
        check_config_file(cls, config_dict, [field.name for field in fields(cls)])
        check_label_count(kwargs)
        return super().from_dict(config_dict, **kwargs)

    @classmethod
    def _dict_from_json_file(cls, json_file: str | os.PathLike) -> dict[str, Any]:
        return read_json(Path(json_file))


__all__ = ["AnyECGConfigFileMixin"]
