# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""How good rhythm codes are, and how well a model predicts hidden ones: with the baselines that need no model."""

from dataclasses import dataclass

import datasets
import numpy as np
import torch

from anyecg_hf.code_counts import mutual_information_bits, perplexity
from anyecg_hf.models.anyecg import LEAD_NAMES, AnyECGForMaskedCodeModeling, AnyECGRhythmQuantizer
from anyecg_hf.training.feeding import validation_batches
from anyecg_hf.training.masking import draw_mask
from anyecg_hf.training.windows import Batch, Row, codes_of, pad_windows

_BATCH_SIZE = 16
_WHOLE = (slice(None), slice(None))


@dataclass(frozen=True)
class QuantizerReport:
    """
    Codes on held-out records.

    Attributes:
        records (`int`), patches (`int`): What was encoded.
        codebook_size (`int`): K.
        codes_in_use (`float`): Share of the codebook that occurs.
        perplexity (`float`): exp of the entropy of the codes.
        code_lead_information_bits (`float`): Mutual information of code and lead, plug-in estimate.
        correlation_median, correlation_low, correlation_high (`float`): Pearson r of reconstruction and cleaned lead,
            over real patches of each lead: median and quartiles over leads.
        snr_db (`float`): 10 log10 of signal over error power, over all real patches.
    """

    records: int
    patches: int
    codebook_size: int
    codes_in_use: float
    perplexity: float
    code_lead_information_bits: float
    correlation_median: float
    correlation_low: float
    correlation_high: float
    snr_db: float


@torch.no_grad()
def report_on_quantizer(quantizer: AnyECGRhythmQuantizer, rows: datasets.Dataset) -> QuantizerReport:
    """
    Encodes and decodes held-out records and measures codes and waveforms.

    Args:
        quantizer ([`AnyECGRhythmQuantizer`]): The quantizer.
        rows (`datasets.Dataset`): Rows of `clean_corpus`, each a window: cut with `most_patches`.

    Returns:
        [`QuantizerReport`]
    """
    codes, leads, correlations = [], [], []
    signal_power = error_power = 0.0
    for batch, _ in validation_batches(rows, _whole_rows, _BATCH_SIZE):
        found = quantizer.encode(batch["input_values"], batch["attention_mask"], batch["lead_ids"])
        decoded = quantizer.decode(found, batch["lead_ids"])
        real = batch["attention_mask"].bool()
        codes.append(found[real].reshape(int(real.sum()), -1)[:, 0].numpy())
        leads.append(batch["lead_ids"][..., None].expand(real.shape)[real].numpy())
        signal_power += float(batch["input_values"][real].square().sum())
        error_power += float((decoded - batch["input_values"])[real].square().sum())
        correlations += _lead_correlations(batch["input_values"], decoded, real)
    codes, leads = np.concatenate(codes), np.concatenate(leads)
    counts = np.bincount(codes, minlength=quantizer.config.codebook_size)
    joint = np.zeros((quantizer.config.codebook_size, len(LEAD_NAMES)))
    np.add.at(joint, (codes, leads), 1)
    low, median, high = np.percentile(correlations, [25, 50, 75])
    return QuantizerReport(
        records=len(set(zip(rows["corpus"], rows["record_id"], strict=True))),
        patches=len(codes),
        codebook_size=quantizer.config.codebook_size,
        codes_in_use=float((counts > 0).mean()),
        perplexity=perplexity(counts),
        code_lead_information_bits=mutual_information_bits(joint),
        correlation_median=float(median),
        correlation_low=float(low),
        correlation_high=float(high),
        snr_db=10 * float(np.log10(signal_power / error_power)),
    )


@dataclass(frozen=True)
class MaskedCodeReport:
    """
    Prediction of hidden codes under one masking strategy.

    Attributes:
        strategy (`str`), ratio (`float`): What was hidden.
        hidden (`int`): Hidden patches scored.
        cross_entropy, unigram_cross_entropy (`float`): In nats: the model's, and that of the training frequencies of
            the same lead's codes on the same positions.
        accuracy (`float`): Share of hidden codes that the model's best guess hits.
        copy_previous_accuracy (`float`): The same for copying the previous visible code of the lead; a miss if there
            is none.
        copy_nearest_accuracy (`float`): The same for copying the nearest visible code of the lead, the earlier of two.
        copy_neighbour_accuracy (`float`): The same for copying the code of the nearest lead that is visible.
    """

    strategy: str
    ratio: float
    hidden: int
    cross_entropy: float
    unigram_cross_entropy: float
    accuracy: float
    copy_previous_accuracy: float
    copy_nearest_accuracy: float
    copy_neighbour_accuracy: float


@torch.no_grad()
def report_on_masked_codes(
    model: AnyECGForMaskedCodeModeling,
    train: datasets.Dataset,
    rows: datasets.Dataset,
    strategy: str,
    ratio: float,
    seed: int = 0,
) -> MaskedCodeReport:
    """
    Scores masked code modelling on held-out records that carry codes of one codebook.

    Args:
        model ([`AnyECGForMaskedCodeModeling`]): The model.
        train (`datasets.Dataset`): Training rows with codes ([`add_codes`]), for the unigram frequencies.
        rows (`datasets.Dataset`): Held-out rows with codes, each a window.
        strategy (`str`), ratio (`float`): As in [`draw_mask`].
        seed (`int`, *optional*, defaults to 0): Of the masks.

    Returns:
        [`MaskedCodeReport`]
    """
    generator = torch.Generator().manual_seed(seed)
    unigram = _lead_unigrams(train, model.config.codebook_size)
    sums = {"cross_entropy": 0.0, "unigram": 0.0, "hits": 0, "hidden": 0, "previous": 0, "nearest": 0, "neighbour": 0}
    for batch, _ in validation_batches(rows, _whole_rows_with_codes, _BATCH_SIZE):
        labels = batch.pop("codes")
        hidden = draw_mask(batch["attention_mask"].bool(), strategy, ratio, generator)
        logits = model(**batch, bool_masked_pos=hidden).logits.float()
        targets = labels[hidden]
        lead_ids = batch["lead_ids"][..., None].expand(hidden.shape)[hidden]
        sums["hidden"] += len(targets)
        sums["cross_entropy"] += float(torch.nn.functional.cross_entropy(logits[hidden], targets, reduction="sum"))
        sums["unigram"] -= float(unigram[lead_ids, targets].log().sum())
        sums["hits"] += int((logits[hidden].argmax(dim=-1) == targets).sum())
        visible = torch.where(hidden, -1, labels)
        sums["previous"] += int((_previous_visible(visible)[hidden] == targets).sum())
        sums["nearest"] += int((_nearest_visible(visible, dim=2)[hidden] == targets).sum())
        sums["neighbour"] += int((_nearest_visible(visible, dim=1)[hidden] == targets).sum())
    total = max(sums["hidden"], 1)
    return MaskedCodeReport(
        strategy=strategy,
        ratio=ratio,
        hidden=sums["hidden"],
        cross_entropy=sums["cross_entropy"] / total,
        unigram_cross_entropy=sums["unigram"] / total,
        accuracy=sums["hits"] / total,
        copy_previous_accuracy=sums["previous"] / total,
        copy_nearest_accuracy=sums["nearest"] / total,
        copy_neighbour_accuracy=sums["neighbour"] / total,
    )


def _whole_rows(rows: list[Row]) -> Batch:
    return pad_windows(rows, [_WHOLE] * len(rows))


def _whole_rows_with_codes(rows: list[Row]) -> Batch:
    batch = _whole_rows(rows)
    return {**batch, "codes": codes_of(rows, [_WHOLE] * len(rows), batch["attention_mask"])}


def _previous_visible(visible: torch.Tensor) -> torch.Tensor:
    """Last visible code of the lead at or before each time, `(B, L, N)`; -1 if there is none."""
    seen = visible >= 0
    before = torch.where(seen, torch.arange(visible.shape[2]), -1).cummax(dim=2).values
    return torch.where(before >= 0, visible.gather(2, before.clamp(min=0)), -1)


def _nearest_visible(visible: torch.Tensor, dim: int) -> torch.Tensor:
    """Nearest visible code of each position along `dim`, of two as near the earlier; -1 if none is visible at all."""
    size = visible.shape[dim]
    positions = torch.arange(size).view([-1 if axis == dim else 1 for axis in range(visible.ndim)])
    seen = visible >= 0
    # Where none is visible on one side, a position too far away to be the nearer one.
    before = torch.where(seen, positions, -2 * size).cummax(dim).values
    after = torch.where(seen, positions, 3 * size).flip(dim).cummin(dim).values.flip(dim)
    nearest = torch.where(positions - before <= after - positions, before, after).clamp(0, size - 1)
    return torch.where(seen.any(dim, keepdim=True), visible.gather(dim, nearest), -1)


def _lead_unigrams(rows: datasets.Dataset, codebook_size: int) -> torch.Tensor:
    """Frequencies of codes given the lead, `(leads, K)`, with one count added everywhere."""
    counts = np.ones((len(LEAD_NAMES), codebook_size))
    for row in rows.select_columns(["codes", "lead_ids"]):
        codes = np.asarray(row["codes"])
        real = codes >= 0
        leads = np.broadcast_to(np.asarray(row["lead_ids"])[:, None], codes.shape)
        np.add.at(counts, (leads[real], codes[real]), 1)
    return torch.tensor(counts / counts.sum(axis=1, keepdims=True))


def _lead_correlations(signal: torch.Tensor, decoded: torch.Tensor, real: torch.Tensor) -> list[float]:
    correlations = []
    for row in range(signal.shape[0]):
        for lead in range(signal.shape[1]):
            kept = real[row, lead]
            if kept.any():
                pair = torch.stack((signal[row, lead][kept].flatten(), decoded[row, lead][kept].flatten()))
                correlations.append(float(torch.corrcoef(pair)[0, 1].nan_to_num()))
    return correlations
