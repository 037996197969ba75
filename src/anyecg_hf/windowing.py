# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""How a record too long for a model is cut into windows; the rule itself travels with checkpoints."""

from anyecg_hf.models.anyecg.windowing_anyecg import window_spans

__all__ = ["window_spans"]
