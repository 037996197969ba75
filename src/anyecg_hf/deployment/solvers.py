# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The linear systems of lead reconstruction in operators that every runtime has."""

import torch
from torch import nn

from anyecg_hf.models.anyecg.lead_estimation_anyecg import normal_equations


def solve_by_elimination(covariance: torch.Tensor, present: torch.Tensor, steps: int) -> torch.Tensor:
    """
    As [`~lead_estimation_anyecg.least_squares_weights`], by Gauss-Jordan elimination. The matrix is symmetric and
    positive, so no row needs to be exchanged.

    A graph holds every step by itself, and how many there are cannot depend on the input: the system is filled up with
    rows of the unit matrix.

    Args:
        covariance (`torch.FloatTensor` of shape `(..., L, L)`): Of the leads.
        present (`torch.BoolTensor` of shape `(..., L)`): Leads to estimate from.
        steps (`int`): The most leads that there could be.

    Returns:
        `torch.FloatTensor` of shape `(..., L, L)`: row l holds the weights of the leads that are present for lead l.
    """
    matrix, right = normal_equations(covariance, present)
    leads = covariance.shape[-1]
    padding = (0, steps - leads, 0, steps - leads)
    places = torch.arange(steps, device=covariance.device)
    matrix = nn.functional.pad(matrix, padding) + torch.diag_embed((places >= leads).to(matrix.dtype))
    system = torch.cat((matrix, nn.functional.pad(right, padding)), dim=-1)
    for step in range(steps):
        row = system[..., step : step + 1, :] / system[..., step : step + 1, step : step + 1]
        system = torch.where((places == step)[:, None], row, system - system[..., :, step : step + 1] * row)
    return system[..., steps:].transpose(-1, -2)[..., :leads, :leads]


__all__ = ["solve_by_elimination"]
