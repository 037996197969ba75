# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Tasks with a label a record: the table of rows, its figures, subgroups and robustness."""
