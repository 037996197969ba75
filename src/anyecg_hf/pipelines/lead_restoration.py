# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Leads taken out of a record, restored from the others, and compared with what they were."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from anyecg_hf.models.anyecg import AnyECGForLeadReconstruction, AnyECGTokenizer, CleanedECG
from anyecg_hf.models.anyecg.configuration_anyecg import UNKNOWN_LEAD
from anyecg_hf.models.anyecg.windowing_anyecg import window_spans
from anyecg_hf.training.windows import in_scale_of

from ..evaluation.metrics.waveforms import mean_absolute_error_mv, pearson_r, psnr_db


@dataclass(frozen=True)
class LeadAgreement:
    """
    How close a restored lead is to the cleaned one, over patches that are real.

    Attributes:
        pearson_r (`float`): Correlation; NaN for a flat lead.
        mean_absolute_error_mv (`float`): In mV.
        psnr_db (`float`): In dB, the range being the cleaned lead's own peak to peak.
    """

    pearson_r: float
    mean_absolute_error_mv: float
    psnr_db: float


@dataclass(frozen=True, eq=False)
class RestoredLead:
    """
    One lead that was taken out.

    Attributes:
        index (`int`), name (`str`): Its place in the record, and its name.
        restored_mv (`np.ndarray` of shape `(N * S,)`, float32): What was restored, NaN where no other lead is there.
        cleaned_mv (`np.ndarray` of shape `(N * S,)`, float32): What it was, NaN where masked.
        agreement ([`LeadAgreement`], *optional*): `None` if the record has nothing of it to compare with.
    """

    index: int
    name: str
    restored_mv: np.ndarray
    cleaned_mv: np.ndarray
    agreement: LeadAgreement | None


def load_restorer(checkpoint: str | os.PathLike, device: str = "cpu") -> AnyECGForLeadReconstruction:
    """
    The checkpoint as a model that restores leads.

    Args:
        checkpoint (`str` or `os.PathLike`): Local folder or Hub name.
        device (`str`, *optional*, defaults to `"cpu"`): Where it runs.

    Returns:
        [`AnyECGForLeadReconstruction`]

    Raises:
        `ValueError`: if the checkpoint has no such head.
    """
    model, info = AnyECGForLeadReconstruction.from_pretrained(checkpoint, output_loading_info=True)
    if any(name.startswith("reconstruction_head.") for name in info["missing_keys"]):
        raise ValueError(f"{checkpoint} has no head that restores leads: what it restored would be random.")
    return model.to(device).eval()


@torch.no_grad()
def restore_leads(
    model: AnyECGForLeadReconstruction, tokenizer: AnyECGTokenizer, cleaned: CleanedECG, leads: Sequence[int]
) -> list[RestoredLead]:
    """
    Takes leads out of a cleaned record and restores them, window by window. Nothing of them reaches the model: the
    recording scale, which they had a part in, is measured anew without them.

    Args:
        model ([`AnyECGForLeadReconstruction`]): From [`load_restorer`].
        tokenizer ([`AnyECGTokenizer`]): The one that cleaned the record.
        cleaned ([`CleanedECG`]): The record.
        leads (`Sequence[int]`): Leads to take out, unusable ones included.

    Returns:
        `list[RestoredLead]`: in the order of the record.

    Raises:
        `ValueError`: if no lead is named, one is not in the record or has no known name, or none is left to restore
            from.
    """
    leads = _check_leads(cleaned, leads)
    # What stood in the removed leads stays out of the model's sight and out of the scale.
    given = cleaned.patch_mask.copy()
    given[leads] = False
    if not given.any():
        raise ValueError("no usable lead is left to restore from: take fewer leads out.")
    wanted = np.zeros_like(given)
    wanted[leads] = given.any(axis=0)
    feature = tokenizer.feature(cleaned)
    batch = {
        "input_values": torch.from_numpy(np.where(given[..., None], cleaned.patches, np.float32(0)))[None],
        "attention_mask": torch.from_numpy((given | wanted).astype(np.int64))[None],
        "lead_ids": torch.from_numpy(feature["lead_ids"])[None],
        "scale": torch.tensor([feature["scale"]]),
    }
    batch = in_scale_of(batch, torch.from_numpy(given)[None])
    restored = _restore(model, batch, torch.from_numpy(wanted)[None])
    masks = np.repeat(cleaned.patch_mask & wanted, cleaned.patches.shape[2], axis=1)
    seen = np.repeat(wanted, cleaned.patches.shape[2], axis=1)
    whole_mv = cleaned.patches.reshape(len(given), -1) * np.float32(cleaned.scale)
    return [
        RestoredLead(
            index=lead,
            name=cleaned.lead_names[lead],
            restored_mv=np.where(seen[lead], restored[lead], np.float32(np.nan)),
            cleaned_mv=np.where(np.repeat(cleaned.patch_mask[lead], cleaned.patches.shape[2]), whole_mv[lead], np.nan),
            agreement=_agreement(whole_mv[lead], restored[lead], masks[lead]),
        )
        for lead in leads
    ]


def _check_leads(cleaned: CleanedECG, leads: Sequence[int]) -> list[int]:
    names = cleaned.lead_names
    outside = [lead for lead in leads if not 0 <= lead < len(names)]
    if outside or not leads:
        raise ValueError(f"name leads from 0 to {len(names) - 1} to take out, got {list(leads)}.")
    nameless = [lead for lead in leads if names[lead] == UNKNOWN_LEAD]
    if nameless:
        raise ValueError(f"leads {nameless} are called {UNKNOWN_LEAD!r}: of such leads nothing is known to restore.")
    return sorted(set(leads))


def _restore(model: AnyECGForLeadReconstruction, batch: dict[str, torch.Tensor], wanted: torch.Tensor) -> np.ndarray:
    """Every lead `(L, N * S)` in mV."""
    parts = []
    for span in window_spans(wanted.shape[2], model.config.trained_window_patches):
        output = model(
            input_values=batch["input_values"][:, :, span].to(model.device),
            attention_mask=batch["attention_mask"][:, :, span].to(model.device),
            lead_ids=batch["lead_ids"].to(model.device),
            scale=batch["scale"].to(model.device),
            bool_masked_pos=wanted[:, :, span].to(model.device),
        )
        parts.append(output.reconstruction[0].float().cpu())
    return (torch.cat(parts, dim=1).flatten(1) * batch["scale"]).numpy()


def _agreement(clean_mv: np.ndarray, restored_mv: np.ndarray, mask: np.ndarray) -> LeadAgreement | None:
    if not mask.any():
        return None
    pair = clean_mv[None], restored_mv[None], mask[None]
    return LeadAgreement(*(float(metric(*pair)[0]) for metric in (pearson_r, mean_absolute_error_mv, psnr_db)))


__all__ = ["LeadAgreement", "RestoredLead", "load_restorer", "restore_leads"]
