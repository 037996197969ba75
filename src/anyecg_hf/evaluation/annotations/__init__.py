# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Beats and rhythm spans, by patch and in long records: cross-validation over patients."""
