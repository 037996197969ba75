# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What counts of rhythm codes say: entropy, perplexity, and what a code tells of its lead."""

import numpy as np


def entropy_nats(counts: np.ndarray) -> float:
    """
    Entropy of what was counted.

    Args:
        counts (`np.ndarray` of any shape): How often each outcome occurred.

    Returns:
        `float`: in nats; 0 if nothing was counted.
    """
    shares = counts[counts > 0] / max(counts.sum(), 1)
    return float(-(shares * np.log(shares)).sum())


def perplexity(counts: np.ndarray) -> float:
    """How many codes, used alike, would have the entropy of the counts `(K,)`."""
    return float(np.exp(entropy_nats(counts)))


def mutual_information_bits(joint_counts: np.ndarray) -> float:
    """
    What two things that were counted together tell of each other, by the plug-in estimate, which is a little high.

    Args:
        joint_counts (`np.ndarray` of shape `(A, B)`): How often each pair of outcomes occurred.

    Returns:
        `float`: in bits.
    """
    either = entropy_nats(joint_counts.sum(axis=1)) + entropy_nats(joint_counts.sum(axis=0))
    return (either - entropy_nats(joint_counts)) / float(np.log(2))


__all__ = ["entropy_nats", "mutual_information_bits", "perplexity"]
