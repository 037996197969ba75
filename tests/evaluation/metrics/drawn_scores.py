# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Labels and scores that tests of metrics draw."""

import numpy as np


def noisy_scores(generator: np.random.Generator, labels: np.ndarray, noise: float = 1.0) -> np.ndarray:
    return labels + noise * generator.normal(size=labels.shape)


def random_labels(generator: np.random.Generator, records: int = 200, shares=(0.5, 0.3, 0.1)) -> np.ndarray:
    return (generator.random((records, len(shares))) < shares).astype(int)
