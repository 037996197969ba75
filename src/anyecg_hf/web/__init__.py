# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
A page to look at: upload a record, see it on ECG paper, its codes, class probabilities and restored leads.

[`Workbench`] does the work and needs no browser; `app` puts it on a page and needs Gradio, the package's `web` extra.
"""

from .app import build_page, serve
from .workbench import Workbench

__all__ = ["Workbench", "build_page", "serve"]
