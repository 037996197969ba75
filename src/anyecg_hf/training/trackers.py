# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Which trackers a run reports to, and what they are told of its settings."""

from typing import Any

from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
from accelerate.utils import is_tensorboard_available

from anyecg_hf.training.configs import RunConfig


def choose_trackers(config: RunConfig) -> list[str]:
    """
    Names of the trackers.

    Args:
        config ([`RunConfig`]): `trackers`.

    Returns:
        `list[str]`: TensorBoard where it is installed, if the configuration does not say.

    Raises:
        `ValueError`: for a name that Accelerate does not know.
        `ImportError`: for a tracker that is not installed; Accelerate would leave it out silently.
    """
    if config.trackers is None:
        return ["tensorboard"] if is_tensorboard_available() else []
    known = {str(name) for name in LOGGER_TYPE_TO_CLASS}
    unknown = sorted(set(config.trackers) - known)
    if unknown:
        raise ValueError(f"`run.trackers` must be of {', '.join(sorted(known))}, got {', '.join(unknown)}.")
    absent = sorted(set(config.trackers) - {str(name) for name in get_available_trackers()})
    if absent:
        raise ImportError(f"`run.trackers` names what is not installed: pip install {' '.join(absent)}")
    return config.trackers


def tracked_settings(config: dict[str, Any], prefix: str = "") -> dict[str, int | float | str | bool]:
    """
    A configuration as trackers take it: one level, plain values.

    Args:
        config (`dict`): As `dataclasses.asdict` gives it.
        prefix (`str`, *optional*): Put before the names.

    Returns:
        `dict`: nested names have dots; lists are text.
    """
    settings: dict[str, int | float | str | bool] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            settings |= tracked_settings(value, f"{prefix}{name}.")
        else:
            settings[f"{prefix}{name}"] = value if isinstance(value, (bool, int, float, str)) else str(value)
    return settings


__all__ = ["choose_trackers", "tracked_settings"]
