# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Models as graphs that run without this package: `torch.export` and ONNX."""
