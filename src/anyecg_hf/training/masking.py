# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Which patches masked code modelling hides."""

import torch

MASKING_STRATEGIES = ("random", "whole_time", "whole_lead")


def draw_mask(
    real: torch.Tensor, strategy: str, ratio: float, generator: torch.Generator | None = None
) -> torch.BoolTensor:
    """
    Draws the patches to hide.

    Args:
        real (`torch.BoolTensor` of shape `(B, L, N)`): Real patches.
        strategy (`str`): `"random"` patches (paper), `"whole_time"`, every lead of the drawn times, which no
            neighbouring lead gives away, or `"whole_lead"`.
        ratio (`float`): Share of patches, times or leads to hide.
        generator (`torch.Generator`, *optional*): For the draws; torch's global generator if not given.

    Returns:
        `torch.BoolTensor` of shape `(B, L, N)`: True where hidden, only among real patches, at least one a record that
        has any.

    Raises:
        `ValueError`: for an unknown strategy or a ratio outside (0, 1].
    """
    if strategy not in MASKING_STRATEGIES:
        raise ValueError(f"masking strategy must be one of {MASKING_STRATEGIES}, got {strategy!r}.")
    if not 0 < ratio <= 1:
        raise ValueError(f"mask ratio must lie in (0, 1], got {ratio}.")
    batch, leads, patches = real.shape
    shape = {
        "random": (batch, leads, patches),
        "whole_time": (batch, 1, patches),
        "whole_lead": (batch, leads, 1),
    }[strategy]
    draws = torch.rand(shape, generator=generator).expand(real.shape)
    draws = torch.where(real, draws, torch.inf)
    hidden = draws < ratio
    # A short record may have drawn nothing: hide where the draw was lowest.
    lowest = draws == draws.flatten(1).amin(dim=1)[:, None, None]
    none_hidden = ~hidden.flatten(1).any(dim=1)[:, None, None]
    return (hidden | (lowest & none_hidden)) & real
