# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The version, written here and nowhere else in the code; free of imports, so that building needs no torch."""

__version__ = "0.1.0"
