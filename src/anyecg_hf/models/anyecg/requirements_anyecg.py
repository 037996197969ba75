# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What this code needs beyond torch, imported before all else, so that its absence has one clear message.

Beside a checkpoint the code runs where nobody installed the package's dependencies. transformers would advise to
install the name that is imported, which for PyWavelets is not the package's; it does not look into `try`.
"""

from transformers.utils.versions import require_version

require_version("transformers>=5.17", "AnyECG's models need it: run `pip install --upgrade transformers`.")

try:
    import pywt
    import scipy  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"AnyECG needs SciPy and PyWavelets, but {error.name!r} is missing: run `pip install scipy PyWavelets`."
    ) from error

__all__ = ["pywt"]
