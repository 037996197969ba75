# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Paths of checkpoints, told from names on the Hub."""

from .models.anyecg.checkpoint_files_anyecg import is_path_to_nothing, refuse_path_to_nothing

__all__ = ["is_path_to_nothing", "refuse_path_to_nothing"]
