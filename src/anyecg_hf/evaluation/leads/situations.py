# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
The fixed situations of corrupted-lead generation, on records with all twelve standard leads.

- (a) `three_leads`: I, II and V2 are given; V1, V3, V4, V5 and V6 are restored.
- (b) `one_chest_lead`: V1 to V6 are missing in turn, eleven leads are given.
- (c) `limb_leads`: the six limb leads are missing, the chest leads are given.
- (d) noise and block: in all leads at once one stretch of 10 to 30 % of the record is missing (`blocked`); about two
  fifths of the leads, one at least, carry noise over a stretch of 30 to 100 % of the record (`noised`): baseline wander
  (0.15 to 0.7 Hz), electrode motion (1 to 10 Hz) or muscle noise (15 to 70 Hz), at a signal-to-noise ratio drawn evenly
  from -5 to 15 dB, of the stretch. All of it is drawn from a seed and the record's name. Which patches are noised is
  told.
- (e) `one_limb_lead`: the limb leads are missing in turn, where the identities of Einthoven and Goldberger are all.

Only missing and noised samples are scored. What is given is brought to unit spread, as cleaning would without the
missing leads: in the recording scale of all leads their power could be told from that of the others.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ...training.lead_corruption import CHEST_LEADS, GIVEN_THREE, LIMB_LEADS, corrupt_leads
from ...training.windows import Batch, Row, in_scale_of, pad_windows, seeded_generator

STANDARD_LEADS = (*LIMB_LEADS, *CHEST_LEADS)
GIVEN = GIVEN_THREE

# Part of the results -> what it is.
PARTS = {
    "three_leads": "(a) from I, II and V2 the other chest leads",
    "one_chest_lead": "(b) one chest lead missing, each in turn",
    "limb_leads": "(c) all limb leads missing",
    "blocked": "(d) all leads missing for 10 to 30 % of the record, others noised",
    "noised": "(d) noised leads, -5 to 15 dB",
    "one_limb_lead": "(e) one limb lead missing, each in turn",
}


@dataclass(frozen=True, eq=False)
class CorruptedBatch:
    """
    Records in one situation.

    Attributes:
        tensors (`dict[str, torch.Tensor]`): Of [`corrupt_leads`], in the order of `STANDARD_LEADS`, in the scale of
            what is given; `scale` makes mV of it.
        scored (`dict[str, np.ndarray]`): Part of the results -> bool `(B, 12, N)`, patches that count for it.
    """

    tensors: Batch
    scored: dict[str, np.ndarray]


def standard_window(row: Row, lead_names: Sequence[str]) -> np.ndarray | None:
    """
    Places of the twelve standard leads in a row.

    Args:
        row (`Mapping`): A row of `clean_corpus`.
        lead_names (`Sequence[str]`): The vocabulary of `lead_ids`.

    Returns:
        `np.ndarray` of shape `(12,)` or `None`: `None` if one of them is not there or unusable, or the row has less
        than two patches.
    """
    names = [lead_names[index] for index in np.asarray(row["lead_ids"])]
    usable = np.asarray(row["attention_mask"]).any(axis=1)
    if row["n_patches"] < 2 or any(name not in names or not usable[names.index(name)] for name in STANDARD_LEADS):
        return None
    return np.array([names.index(name) for name in STANDARD_LEADS])


def clean_batch(rows: Sequence[Row], places: Sequence[np.ndarray]) -> Batch:
    """Rows of one length as a batch, leads in the order of `STANDARD_LEADS`."""
    batch = pad_windows(rows, [(leads, slice(None)) for leads in places])
    batch["lead_ids"] = batch["lead_ids"].clone()
    return batch


def situations(
    batch: Batch, names: Sequence[str], lead_names: Sequence[str], sampling_rate: int, seed: int = 0
) -> Iterator[CorruptedBatch]:
    """
    A batch in every situation.

    Args:
        batch (`dict[str, torch.Tensor]`): From [`clean_batch`].
        names (`Sequence[str]`): Names of the records, for the draws.
        lead_names (`Sequence[str]`), sampling_rate (`int`): As in [`corrupt_leads`].
        seed (`int`, *optional*, defaults to 0): Of the draws.

    Returns:
        `Iterator[CorruptedBatch]`
    """

    def corrupted(part: Batch, situation: str, chest_lead: str | None = None, number: int = 0) -> Batch:
        generator = seeded_generator(seed, number)
        return corrupt_leads(part, situation, generator, chest_lead, lead_names, sampling_rate)

    yield _all_missing(corrupted(batch, "three_leads"), "three_leads")
    for lead in CHEST_LEADS:
        yield _all_missing(corrupted(batch, "one_chest_lead", lead), "one_chest_lead")
    yield _all_missing(corrupted(batch, "limb_leads"), "limb_leads")
    parts = [
        corrupted({key: value[index : index + 1] for key, value in batch.items()}, "noise_and_block", None, number)
        for index, number in enumerate(zlib.crc32(name.encode()) for name in names)
    ]
    joined = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
    scored = {"blocked": joined["bool_masked_pos"].numpy(), "noised": joined["noised"].numpy()}
    yield CorruptedBatch(_in_scale_of_given(joined), scored)
    for index in range(len(LIMB_LEADS)):
        yield _all_missing(_without_lead(batch, index), "one_limb_lead")


def _all_missing(tensors: Batch, part: str) -> CorruptedBatch:
    return CorruptedBatch(_in_scale_of_given(tensors), {part: tensors["bool_masked_pos"].numpy()})


def _in_scale_of_given(tensors: Batch) -> Batch:
    given = tensors["attention_mask"].bool() & ~tensors["bool_masked_pos"]
    return in_scale_of(tensors, given, ("input_values", "labels"))


def _without_lead(batch: Batch, index: int) -> Batch:
    clean, real = batch["input_values"], batch["attention_mask"].bool()
    missing = torch.zeros_like(real)
    missing[:, index] = real[:, index]
    values = clean.masked_fill(missing[..., None], 0.0)
    noised = torch.zeros_like(real)
    return {**batch, "input_values": values, "bool_masked_pos": missing, "noised": noised, "labels": clean}


__all__ = ["GIVEN", "PARTS", "STANDARD_LEADS", "CorruptedBatch", "clean_batch", "situations", "standard_window"]
