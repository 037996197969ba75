# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Leads taken away, noised or blocked for a while, for training and evaluating [`AnyECGForLeadReconstruction`]."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from ..models.anyecg.configuration_anyecg import LEAD_NAMES

LIMB_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF")
CHEST_LEADS = ("V1", "V2", "V3", "V4", "V5", "V6")
GIVEN_THREE = ("I", "II", "V2")

# Bands in Hz within what cleaning lets pass: breathing and loose cables, electrode motion, muscles.
NOISE_BANDS_HZ = {"wander": (0.15, 0.7), "motion": (1.0, 10.0), "muscle": (15.0, 70.0)}
NOISE_SNR_DB = (-5.0, 15.0)
NOISED_SHARE = 0.4
BLOCK_SHARES = (0.1, 0.3)

Batch = dict[str, torch.Tensor]


@dataclass
class RecordMasks:
    """What becomes of one record's patches, bool `(L, N)` each: left out, missing and to be restored, or noised."""

    absent: torch.Tensor
    missing: torch.Tensor
    noised: torch.Tensor

    @classmethod
    def untouched(cls, real: torch.Tensor) -> "RecordMasks":
        return cls(*(torch.zeros_like(real) for _ in range(3)))


def corrupt_leads(
    batch: Mapping[str, torch.Tensor],
    situation: str,
    generator: torch.Generator | None = None,
    chest_lead: str | None = None,
    lead_names: Sequence[str] = LEAD_NAMES,
    sampling_rate: int = 300,
) -> Batch:
    """
    Corrupts the leads of a clean batch, and says what was done.

    Args:
        batch (`Mapping[str, torch.Tensor]`): Clean patches: `input_values` `(B, L, N, S)` in recording scale,
            `attention_mask` `(B, L, N)`, `lead_ids` `(B, L)`. It is left as it is.
        situation (`str`): One of `SITUATIONS`:

            - `"three_leads"`: I, II and V2 are given, the other chest leads are to be restored, and no other lead is
              there;
            - `"one_chest_lead"`: one chest lead is missing, drawn for each record unless `chest_lead` names it;
            - `"limb_leads"`: all limb leads are missing;
            - `"noise_and_block"`: leads are noised over a stretch of time, and for another stretch all are missing;
            - `"random_leads"`: any leads but one at least, for the whole record or a stretch of time;
            - `"mixture"`: one of these that the record allows, drawn for each record.
        generator (`torch.Generator`, *optional*): For the draws, on the CPU; torch's global generator if not given.
        chest_lead (`str`, *optional*): The lead that `"one_chest_lead"` takes away.
        lead_names (`Sequence[str]`, *optional*): The vocabulary that `lead_ids` index into.
        sampling_rate (`int`, *optional*, defaults to 300): Of the patches, in Hz.

    Returns:
        `dict[str, torch.Tensor]`: the batch with `input_values` float32 (zero where missing or absent),
        `attention_mask` (zero where absent; missing patches count as real), `bool_masked_pos` `(B, L, N)`, `noised`
        `(B, L, N)` and `labels` `(B, L, N, S)`, the clean patches. Other keys are handed on.

    Raises:
        `ValueError`: for an unknown situation or chest lead, or a record that lacks the leads for the situation.
    """
    if situation not in SITUATIONS:
        raise ValueError(f"situation must be one of {tuple(SITUATIONS)}, got {situation!r}.")
    if chest_lead is not None and (situation != "one_chest_lead" or chest_lead not in CHEST_LEADS):
        raise ValueError(f"`chest_lead` is one of {CHEST_LEADS} for 'one_chest_lead', got {chest_lead!r}.")
    names = [[lead_names[index] for index in row] for row in batch["lead_ids"].tolist()]
    real = batch["attention_mask"].bool().cpu()
    wanted = CHEST_LEADS if chest_lead is None else (chest_lead,)
    masks = []
    for number, (record_names, record_real) in enumerate(zip(names, real, strict=True)):
        record = _Record(record_names, record_real, wanted, generator)
        drawn = SITUATIONS[situation](record)
        if drawn is None:
            usable = [name for name, usable in zip(record_names, record_real.any(dim=1), strict=True) if usable]
            raise ValueError(f"record {number} with the usable leads {usable} does not allow {situation!r}.")
        masks.append(drawn)
    device = batch["input_values"].device
    absent, missing, noised = (
        torch.stack([getattr(mask, kind) for mask in masks]).to(device) & batch["attention_mask"].bool()
        for kind in ("absent", "missing", "noised")
    )
    clean = batch["input_values"].float()
    noise = _noise(clean, noised, sampling_rate, generator)
    return {
        **batch,
        "input_values": (clean + noise).masked_fill((missing | absent)[..., None], 0.0),
        "attention_mask": batch["attention_mask"].masked_fill(absent, 0),
        "bool_masked_pos": missing,
        "noised": noised,
        "labels": clean,
    }


class _Record:
    """One record's leads and the draws about them; every situation is a function of it."""

    def __init__(self, names: list[str], real: torch.Tensor, wanted: Sequence[str], generator: torch.Generator | None):
        self.names = names
        self.real = real
        self.wanted = wanted
        self.generator = generator

    def leads(self, chosen: Sequence[str]) -> torch.Tensor:
        """Bool `(L, N)`: real patches of the leads of these names."""
        return torch.tensor([name in chosen for name in self.names])[:, None] & self.real

    def uniform(self, *shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=self.generator)

    def choice(self, number: int) -> int:
        return int(torch.randint(number, (1,), generator=self.generator))

    def stretch(self, least: float, most: float) -> torch.Tensor:
        """Bool `(N,)`: a stretch of the times with anything real, of a share between the two, at least one patch."""
        times = self.real.any(dim=0).nonzero()[:, 0]
        share = least + (most - least) * float(self.uniform(1))
        length = min(max(1, round(share * len(times))), len(times))
        start = self.choice(len(times) - length + 1)
        chosen = torch.zeros(self.real.shape[1], dtype=torch.bool)
        chosen[times[start : start + length]] = True
        return chosen


def _three_leads(record: _Record) -> RecordMasks | None:
    if not all(record.leads([name]).any() for name in GIVEN_THREE):
        return None
    missing = record.leads([name for name in CHEST_LEADS if name not in GIVEN_THREE])
    if not missing.any():
        return None
    masks = RecordMasks.untouched(record.real)
    masks.missing = missing
    masks.absent = record.real & ~missing & ~record.leads(GIVEN_THREE)
    return masks


def _one_chest_lead(record: _Record) -> RecordMasks | None:
    present = [name for name in record.wanted if record.leads([name]).any()]
    if not present or int(record.real.any(dim=1).sum()) < 2:
        return None
    masks = RecordMasks.untouched(record.real)
    masks.missing = record.leads([present[record.choice(len(present))]])
    return masks


def _limb_leads(record: _Record) -> RecordMasks | None:
    masks = RecordMasks.untouched(record.real)
    masks.missing = record.leads(LIMB_LEADS)
    return masks if masks.missing.any() and (record.real & ~masks.missing).any() else None


def _noise_and_block(record: _Record) -> RecordMasks | None:
    times = record.real.any(dim=0)
    if int(times.sum()) < 2:  # one time is either noised or blocked
        return None
    masks = RecordMasks.untouched(record.real)
    masks.missing = record.stretch(*BLOCK_SHARES)[None] & record.real
    left = record.real & ~masks.missing
    usable = left.any(dim=1)
    drawn = record.uniform(len(record.names)) < NOISED_SHARE
    drawn[usable.nonzero()[record.choice(int(usable.sum())), 0]] = True
    masks.noised = drawn[:, None] & left & record.stretch(0.3, 1.0)[None]
    return masks


def _random_leads(record: _Record) -> RecordMasks | None:
    usable = record.real.any(dim=1).nonzero()[:, 0]
    if len(usable) < 2:
        return None
    order = usable[torch.randperm(len(usable), generator=record.generator)]
    taken = order[: 1 + record.choice(len(order) - 1)]
    masks = RecordMasks.untouched(record.real)
    masks.missing[taken] = record.real[taken]
    if record.choice(2):
        masks.missing &= record.stretch(0.2, 0.8)[None]
    # A lead may have nothing real in that stretch.
    return masks if masks.missing.any() else _random_leads(record)


def _mixture(record: _Record) -> RecordMasks | None:
    situations = [_three_leads, _one_chest_lead, _limb_leads, _noise_and_block, _random_leads]
    while situations:
        drawn = situations.pop(record.choice(len(situations)))(record)
        if drawn is not None:
            return drawn
    return None


def _noise(
    clean: torch.Tensor, noised: torch.Tensor, sampling_rate: int, generator: torch.Generator | None
) -> torch.Tensor:
    """Noise `(B, L, N, S)` of a band and a signal-to-noise ratio drawn for each lead, zero where not `noised`."""
    if not noised.any():
        return torch.zeros_like(clean)
    batch, leads, patches, samples = clean.shape
    white = torch.randn(batch, leads, patches * samples, generator=generator)
    frequencies = torch.fft.rfftfreq(white.shape[-1], 1 / sampling_rate)
    bands = torch.tensor(list(NOISE_BANDS_HZ.values()))
    inside = (frequencies >= bands[:, :1]) & (frequencies <= bands[:, 1:])
    inside[:, 1] |= ~inside.any(dim=1)  # in a short record the slowest oscillation stands for slower ones
    drawn = torch.randint(len(bands), (batch, leads), generator=generator)
    noise = torch.fft.irfft(torch.fft.rfft(white) * inside[drawn], n=white.shape[-1]).to(clean.device)
    noise = noise / noise.std(dim=-1, keepdim=True).clamp(min=1e-6)
    low, high = NOISE_SNR_DB
    snr_db = (low + (high - low) * torch.rand(batch, leads, generator=generator)).to(clean.device)
    power = (clean.square().mean(dim=-1) * noised).sum(dim=-1) / noised.sum(dim=-1).clamp(min=1)
    strength = (power / 10 ** (snr_db / 10)).sqrt()
    return (strength[..., None] * noise).view_as(clean) * noised[..., None]


SITUATIONS: dict[str, Callable[[_Record], RecordMasks | None]] = {
    "three_leads": _three_leads,
    "one_chest_lead": _one_chest_lead,
    "limb_leads": _limb_leads,
    "noise_and_block": _noise_and_block,
    "random_leads": _random_leads,
    "mixture": _mixture,
}
