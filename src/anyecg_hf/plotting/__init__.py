# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""ECG paper with reconstructions and rhythm codes. Needs matplotlib, the package's `plot` extra."""

try:
    import matplotlib  # noqa: F401
except ImportError as error:
    raise ImportError('Plotting an ECG needs matplotlib: pip install "anyecg-hf[plot]"') from error

from .code_strip import code_colours
from .ecg_paper import plot_ecg, save_figure

__all__ = ["code_colours", "plot_ecg", "save_figure"]
