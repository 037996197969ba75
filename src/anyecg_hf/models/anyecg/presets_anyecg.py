# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What configurations start from: the lead vocabulary, measured constants and the named sizes."""

from typing import Any

from transformers.utils import TRANSFORMERS_DYNAMIC_MODULE_NAME

# Whether this is the code beside a checkpoint, run with `trust_remote_code=True`, rather than the package.
IS_REMOTE_CODE = __name__.startswith(f"{TRANSFORMERS_DYNAMIC_MODULE_NAME}.")

# Part of every checkpoint: `lead_ids` index into this list, so the order is fixed for ever and new names go to the end.
LEAD_NAMES = (
    *("I", "II", "III", "aVR", "aVL", "aVF"),
    *("V1", "V2", "V3", "V4", "V5", "V6"),
    *("VX", "VY", "VZ", "MLII", "V3R", "V4R", "V7", "V8", "V9"),
    "unknown",
)
UNKNOWN_LEAD = "unknown"

# Standard deviation of orthonormal db6 coefficients at levels 1, 2, ... of cleaned 300 Hz records in recording scale,
# measured by `benchmarks/wavelet_bands.py` on PTB-XL folds 1-8; level 1 (0.013 after cleaning) is floored at 0.05, or
# the frequency term would be about residual noise.
WAVELET_BAND_STD = {"cA": (1.42, 2.0, 2.7, 3.42), "cD": (0.05, 0.17, 0.9, 1.8)}

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "hidden_size": 128,
        "num_hidden_layers": 5,
        "num_attention_heads": 4,
        "intermediate_size": 512,
        "patch_channels": [32, 64, 128],
        "time_encoding": "rotary",
        "codebook_size": 512,
    },
    "small": {"hidden_size": 384, "num_hidden_layers": 8, "num_attention_heads": 6, "intermediate_size": 1536},
    "base": {"hidden_size": 1024, "num_hidden_layers": 20, "num_attention_heads": 16, "intermediate_size": 4096},
    "large": {"hidden_size": 1280, "num_hidden_layers": 25, "num_attention_heads": 20, "intermediate_size": 5120},
    "xl": {"hidden_size": 2048, "num_hidden_layers": 34, "num_attention_heads": 32, "intermediate_size": 8192},
}

__all__ = ["IS_REMOTE_CODE", "LEAD_NAMES", "PRESETS", "UNKNOWN_LEAD", "WAVELET_BAND_STD"]
