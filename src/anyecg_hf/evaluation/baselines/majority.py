# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The baseline that looks at no record: how often each class occurred in training."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..metrics import check_labels, check_problem_type, check_single_labels


@dataclass(frozen=True, eq=False)
class MajorityBaseline:
    """
    The same scores for every record.

    Attributes:
        frequencies (`np.ndarray` of shape `(classes,)`): Share of the training records that have each class.
    """

    frequencies: np.ndarray

    @classmethod
    def fit(
        cls,
        labels_train: np.ndarray,
        *,
        problem_type: str = "multi_label_classification",
        class_names: Sequence[str] | None = None,
    ) -> "MajorityBaseline":
        """
        Counts the training labels.

        Args:
            labels_train (`np.ndarray` of shape `(records, classes)`):
                Zeros and ones; [`one_hot`] in a single-label problem. Absent classes are no error.
            problem_type (`str`, *optional*, defaults to `"multi_label_classification"`):
                Or `"single_label_classification"`.
            class_names (`Sequence[str]`, *optional*): Names for error messages.

        Returns:
            [`MajorityBaseline`]

        Raises:
            `ValueError`: if the rank is wrong, a value is not 0 or 1, or a row of a single-label problem does not hold
                one class.
        """
        check_problem_type(problem_type)
        labels_train = check_labels(labels_train, class_names, "`labels_train`", every_class=False)
        if problem_type == "single_label_classification":
            check_single_labels(labels_train, "`labels_train`")
        return cls(labels_train.mean(axis=0))

    def scores(self, records: int) -> np.ndarray:
        """
        The frequencies for every record: at a threshold of one half, or as [`highest_class`], this is the usual
        majority decision; AUROC is one half, and AUPRC the share of positives.

        Args:
            records (`int`): Number of records.

        Returns:
            `np.ndarray` of shape `(records, classes)`, float64, between 0 and 1.
        """
        return np.tile(self.frequencies, (records, 1))


__all__ = ["MajorityBaseline"]
