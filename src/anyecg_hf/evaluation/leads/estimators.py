# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
The rows of corrupted-lead generation. Each restores patches from the clean ones of the same record.

- `given`: noised leads as they are.
- `mean`: the mean of the leads that are clean at that time.
- `least_squares`: every lead from those that are clean at that time, by the matrix that is best on the training
  records: one fixed matrix in each of the situations (a) to (c), in (d) one for every set of clean leads.
- `identities`: limb leads from two or more clean ones, by Einthoven's and Goldberger's identities; nothing else.
- `linear`: the model without its correction, from where that is trained: least squares with weights of each record's
  own, for noised leads a Wiener filter between it and the input, and the identities.
- `trained`: the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from ...models.anyecg import AnyECGForLeadReconstruction
from ...models.anyecg.lead_estimation_anyecg import LeadEstimator, PatchKinds
from ...training.windows import Batch

TITLES = {
    "given": "the noised lead as it is",
    "mean": "mean of the clean leads",
    "least_squares": "least squares on the clean leads",
    "identities": "Einthoven, Goldberger",
    "linear": "ours, linear part alone",
    "trained": "ours",
}
# Singular values of a covariance below this share of the largest say nothing: limb leads depend on each other.
_RANK_TOLERANCE = 1e-5


def kinds_of(tensors: Batch) -> PatchKinds:
    """Which patches of a corrupted batch are clean, missing and noised."""
    real = tensors["attention_mask"].bool()
    missing, noised = tensors["bool_masked_pos"] & real, tensors["noised"] & real
    return PatchKinds(clean=real & ~missing & ~noised, missing=missing, noised=noised & ~missing)


def mean_of_leads(tensors: Batch) -> np.ndarray:
    """Mean over the clean leads at each time, for every lead `(B, L, N, S)`; zero where no lead is clean."""
    clean = kinds_of(tensors).clean[..., None]
    total = torch.where(clean, tensors["input_values"], 0.0).sum(dim=1, keepdim=True)
    mean = total / clean.sum(dim=1, keepdim=True).clamp(min=1)
    return mean.expand_as(tensors["input_values"]).numpy()


@dataclass(frozen=True, eq=False)
class LeastSquares:
    """
    Least squares from whatever leads are clean.

    Args:
        covariance (`np.ndarray` of shape `(V, V)`): Of the leads over training records ([`fit_lead_covariance`]).
    """

    covariance: np.ndarray

    def weights(self, given: np.ndarray) -> np.ndarray:
        """
        The matrix of a situation.

        Args:
            given (`np.ndarray` of int): Leads that are given, as indices into the vocabulary.

        Returns:
            `np.ndarray` of shape `(V, given)`: row v restores lead v.
        """
        among = self.covariance[np.ix_(given, given)]
        return self.covariance[:, given] @ np.linalg.pinv(among, rcond=_RANK_TOLERANCE, hermitian=True)

    def __call__(self, tensors: Batch) -> np.ndarray:
        """Every lead of a corrupted batch `(B, L, N, S)`, zero where no lead is clean."""
        clean = kinds_of(tensors).clean.numpy()
        values = np.where(clean[..., None], tensors["input_values"].numpy(), 0.0)
        lead_ids = tensors["lead_ids"].numpy()
        found = np.zeros_like(values)
        for record, ids in enumerate(lead_ids):
            sets, which = np.unique(clean[record].T, axis=0, return_inverse=True)
            for number, present in enumerate(sets):
                times = np.flatnonzero(which.reshape(-1) == number)
                if present.any():
                    matrix = self._matrix(ids[present])[ids]
                    found[record][:, times] = np.einsum("lg,gts->lts", matrix, values[record][present][:, times])
        return found

    @cached_property
    def _known(self) -> dict[bytes, np.ndarray]:
        return {}

    def _matrix(self, given: np.ndarray) -> np.ndarray:
        key = given.tobytes()
        if key not in self._known:
            self._known[key] = self.weights(given)
        return self._known[key]


def identities(tensors: Batch, estimator: LeadEstimator) -> np.ndarray:
    """
    Limb leads from the identities `(B, L, N, S)`, NaN where they do not apply.

    Args:
        tensors (`dict[str, torch.Tensor]`): Of [`corrupt_leads`].
        estimator ([`LeadEstimator`]): Its identities need no statistics.
    """
    estimate = estimator(tensors["input_values"], tensors["lead_ids"], kinds_of(tensors))
    return torch.where(estimate.exact[..., None], estimate.values, torch.nan).numpy()


@torch.no_grad()
def model_answers(
    models: Sequence[AnyECGForLeadReconstruction], tensors: Batch
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """
    What the models restore, and their linear parts.

    Args:
        models (`Sequence[AnyECGForLeadReconstruction]`): In evaluation mode, all on one device.
        tensors (`dict[str, torch.Tensor]`): Of [`corrupt_leads`].

    Returns:
        `tuple`: reconstructions and linear estimates `(B, L, N, S)`, one a model.
    """
    names = ("input_values", "attention_mask", "lead_ids", "scale", "bool_masked_pos", "noised")
    restored, linear = [], []
    for model in models:
        outputs = model(**{name: tensors[name].to(model.device) for name in names})
        restored.append(outputs.reconstruction.float().cpu().numpy())
        linear.append(outputs.linear_estimate.float().cpu().numpy())
    return restored, linear


__all__ = ["TITLES", "LeastSquares", "identities", "kinds_of", "mean_of_leads", "model_answers"]
