# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Which patches masked code modelling hides."""

from collections.abc import Sequence

import torch

from anyecg_hf.training.configs import MaskingConfig

MASKING_STRATEGIES = ("random", "whole_time", "whole_lead", "time_block")


def draw_mask(
    real: torch.Tensor, strategy: str, ratio: float, generator: torch.Generator | None = None
) -> torch.BoolTensor:
    """
    Draws the patches to hide.

    Args:
        real (`torch.BoolTensor` of shape `(B, L, N)`): Real patches.
        strategy (`str`): `"random"` patches (paper), `"whole_time"`, every lead of the drawn times, which no
            neighbouring lead gives away, `"whole_lead"`, or `"time_block"`, one stretch of time in every lead, which
            the neighbouring patch does not give away either.
        ratio (`float`): Share of patches, times, leads or duration to hide.
        generator (`torch.Generator`, *optional*): For the draws; torch's global generator if not given.

    Returns:
        `torch.BoolTensor` of shape `(B, L, N)`: True where hidden, only among real patches, at least one a record that
        has any.

    Raises:
        `ValueError`: for an unknown strategy or a ratio outside (0, 1].
    """
    _check(strategy, ratio)
    batch, leads, patches = real.shape
    if strategy == "time_block":
        draws = _distance_to_a_block(real, ratio, generator)
    else:
        shape = {
            "random": (batch, leads, patches),
            "whole_time": (batch, 1, patches),
            "whole_lead": (batch, leads, 1),
        }[strategy]
        draws = torch.rand(shape, generator=generator)
    draws = torch.where(real, draws.expand(real.shape), torch.inf)
    hidden = draws < ratio
    # A short record may have drawn nothing: hide where the draw was lowest.
    lowest = draws == draws.flatten(1).amin(dim=1)[:, None, None]
    none_hidden = ~hidden.flatten(1).any(dim=1)[:, None, None]
    return (hidden | (lowest & none_hidden)) & real


def _distance_to_a_block(real: torch.Tensor, ratio: float, generator: torch.Generator | None) -> torch.Tensor:
    """`(B, 1, N)`: 0 within a block of that share of each record's duration, patches away from it elsewhere."""
    lasting = real.any(dim=1)
    times = torch.arange(real.shape[2]).expand(lasting.shape)
    first = torch.where(lasting, times, real.shape[2]).amin(dim=1)
    duration = (torch.where(lasting, times, -1).amax(dim=1) - first + 1).clamp(min=1)
    length = (duration * ratio).round().clamp(min=1)
    start = first + (torch.rand(len(real), generator=generator) * (duration - length + 1)).floor()
    before, after = start[:, None] - times, times - (start + length)[:, None] + 1
    return torch.maximum(before, after).clamp(min=0)[:, None]


def check_masking(masking: Sequence[MaskingConfig]) -> None:
    """
    Checks ways to hide patches before any record is read.

    Args:
        masking (`Sequence[MaskingConfig]`): The ways.

    Raises:
        `ValueError`: if there is none, or one has an impossible ratio or weight.
    """
    if not masking:
        raise ValueError("`masking` is empty: name at least one strategy.")
    for way in masking:
        _check(way.strategy, way.ratio)
        if way.weight <= 0:
            raise ValueError(f"the `weight` of a masking strategy must be positive, got {way.weight}.")
        if way.complement and way.ratio == 1:
            raise ValueError("`complement` has nothing to hide where the `ratio` is 1.")


def _check(strategy: str, ratio: float) -> None:
    if strategy not in MASKING_STRATEGIES:
        raise ValueError(f"masking strategy must be one of {MASKING_STRATEGIES}, got {strategy!r}.")
    if not 0 < ratio <= 1:
        raise ValueError(f"mask ratio must lie in (0, 1], got {ratio}.")


def hide_patches(batch: dict[str, torch.Tensor], masking: Sequence[MaskingConfig], generator: torch.Generator) -> None:
    """
    Adds `bool_masked_pos` to a batch. With the complement trick the batch is doubled: the second half hides what the
    first shows, so that every real patch is predicted once (LaBraM, symmetric masking).

    Args:
        batch (`dict[str, torch.Tensor]`): With `attention_mask`; changed in place.
        masking (`Sequence[MaskingConfig]`): Ways to hide; one is drawn.
        generator (`torch.Generator`): For the draws.
    """
    weights = torch.tensor([way.weight for way in masking])
    way = masking[int(torch.multinomial(weights, 1, generator=generator))]
    real = batch["attention_mask"].bool()
    hidden = draw_mask(real, way.strategy, way.ratio, generator)
    if way.complement:
        batch.update({name: torch.cat((value, value)) for name, value in batch.items()})
        hidden = torch.cat((hidden, real & ~hidden))
    batch["bool_masked_pos"] = hidden


__all__ = ["MASKING_STRATEGIES", "check_masking", "draw_mask", "hide_patches"]
