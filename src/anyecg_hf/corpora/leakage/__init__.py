# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Patients and recordings in two places: how they are found, and splits that keep them together."""
