# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Records with all twelve leads, and batches of them in the situations of the protocol."""

from typing import Any

import torch
from tests.corpora.written_rows import row, stored
from tests.training.written_records import LEADS

from anyecg_hf.evaluation.leads.situations import STANDARD_LEADS, CorruptedBatch, situations
from anyecg_hf.models.anyecg.configuration_anyecg import LEAD_NAMES


def twelve_leads(number: int, **columns: Any) -> dict[str, Any]:
    """A record of 4 s of all twelve leads."""
    facts = {"signal": stored(12, 4, number), "lead_names": list(LEADS), "patient_id": f"p{number}"}
    return row(number, **{**facts, **columns})


def true_batch(records: int = 3, patches: int = 8) -> dict[str, torch.Tensor]:
    """Leads that keep their identities: limb leads of two signals, chest leads of these and their own."""
    generator = torch.Generator().manual_seed(0)
    one, two, *chest = torch.randn(8, records, patches, 75, generator=generator)
    limb = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    values = torch.stack([*limb, *(0.8 * one + 0.3 * signal for signal in chest)], dim=1)
    return {
        "input_values": values,
        "attention_mask": torch.ones(records, 12, patches, dtype=torch.long),
        "lead_ids": torch.tensor([[LEAD_NAMES.index(name) for name in STANDARD_LEADS]] * records),
        "scale": torch.full((records,), 0.2),
    }


def all_situations(batch: dict[str, torch.Tensor], seed: int = 0) -> list[CorruptedBatch]:
    """A batch in every situation."""
    names = [f"r{number}" for number in range(len(batch["lead_ids"]))]
    return list(situations(batch, names, LEAD_NAMES, 300, seed))


def part(found: list[CorruptedBatch], name: str) -> list[CorruptedBatch]:
    """Those of one part of the results."""
    return [item for item in found if name in item.scored]


__all__ = ["all_situations", "part", "true_batch", "twelve_leads"]
