# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What every process of a test run imports, loaded once by the server that forks them."""

import anyecg_hf.training.finetune
import anyecg_hf.training.pretrain
import anyecg_hf.training.train_quantizer  # noqa: F401
