# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Rhythm codes: how good they are, how well hidden ones are predicted, what each stands for."""
