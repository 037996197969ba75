# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What readers say about parts of a file that nearly every file of its kind has and that are not read."""

import functools
import warnings


@functools.cache
def warn_of_averages(name: str) -> None:
    """
    Warns that derived waveforms are not read: once in a process and format, as a folder may hold a million such files.

    Args:
        name (`str`): Name of the format.
    """
    warnings.warn(
        f"{name}: derived waveforms (averaged beats) beside the recording are not read.", UserWarning, stacklevel=3
    )


__all__ = ["warn_of_averages"]
