# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Generation of missing and noised leads, beside least squares and the identities of limb leads."""
