# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What rhythm codes stand for, gathered from patches in bounded memory: mean and spread, leads, rhythm classes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..code_counts import entropy_nats, mutual_information_bits, perplexity
from ..models.anyecg.configuration_anyecg import AnyECGQuantizerConfig
from ..models.anyecg.inputs_anyecg import to_numpy

# A class is told as standing out from so many of its records on: patches of one record are much alike.
FEWEST_RECORDS = 5
# Patches kept of each code for its quantiles, and what all of them may take.
_MOST_KEPT, _KEPT_BYTES = 100, 256 * 2**20


@dataclass(frozen=True)
class ClassUse:
    """
    A code in records of one rhythm class.

    Attributes:
        name (`str`): The class.
        enrichment (`float`): Share of the class among the code's patches over its share among all patches, both in
            records with a rhythm class.
        patches (`int`): Patches of the code in records of the class.
        records (`int`), class_records (`int`): Records of the class with the code, and all of them.
    """

    name: str
    enrichment: float
    patches: int
    records: int
    class_records: int

    @property
    def has_support(self) -> bool:
        """Whether records enough have the code for the enrichment to mean something."""
        return self.records >= FEWEST_RECORDS


@dataclass(frozen=True)
class LeadUse:
    """Patches of a code in one lead, and their share of the code's patches."""

    name: str
    patches: int
    share: float


@dataclass(frozen=True, eq=False)
class CodeSummary:
    """
    What [`CodeStatistics`] has found. K codes, S samples a patch, C classes; NaN in waveforms of codes never used.

    Attributes:
        sampling_rate (`float`): Of patches, in Hz.
        codebooks (`int`): Residual codebooks, of which the first is told of.
        lead_names (`tuple[str, ...]`), lead_counts (`np.ndarray` of shape `(K, leads)`, int64): Patches of each code by
            lead of the vocabulary.
        records (`int`), code_records (`np.ndarray` of shape `(K,)`): Records, and those with the code.
        class_names (`tuple[str, ...]`), class_counts (`np.ndarray` of shape `(K, C)`): Patches by rhythm class; those
            of a record with several classes count in each.
        class_code_records (`np.ndarray` of shape `(K, C)`), class_records (`np.ndarray` of shape `(C,)`): Records of
            each class with the code, and all of them.
        labelled_counts (`np.ndarray` of shape `(K,)`), labelled_records (`int`): Patches in records with a rhythm
            class, and those records.
        mean, low, high (`np.ndarray` of shape `(K, S)`, float32): Mean patch, and 10th and 90th percentile of every
            sample, in recording scale.
        kept (`np.ndarray` of shape `(K,)`): Patches that the percentiles are of, drawn evenly.
        scale_mv (`float`, *optional*): Geometric mean of the recording scales, if they are known.
    """

    sampling_rate: float
    codebooks: int
    lead_names: tuple[str, ...]
    lead_counts: np.ndarray
    records: int
    code_records: np.ndarray
    class_names: tuple[str, ...]
    class_counts: np.ndarray
    class_code_records: np.ndarray
    class_records: np.ndarray
    labelled_counts: np.ndarray
    labelled_records: int
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    kept: np.ndarray
    scale_mv: float | None = None

    @property
    def codebook_size(self) -> int:
        """K."""
        return len(self.lead_counts)

    @cached_property
    def counts(self) -> np.ndarray:
        """Patches of each code `(K,)`."""
        return self.lead_counts.sum(axis=1)

    @property
    def patches(self) -> int:
        """All patches."""
        return int(self.lead_counts.sum())

    @cached_property
    def shares(self) -> np.ndarray:
        """Share of each code among all patches `(K,)`."""
        return self.counts / self.patches

    @property
    def by_count(self) -> np.ndarray:
        """Codes that are used, the most frequent first, of equals the smaller index."""
        order = np.argsort(-self.counts, kind="stable")
        return order[self.counts[order] > 0]

    @property
    def unused(self) -> np.ndarray:
        """Codes that never occur."""
        return np.flatnonzero(self.counts == 0)

    @property
    def usage(self) -> float:
        """Share of the codebook that occurs."""
        return 1 - len(self.unused) / self.codebook_size

    @property
    def perplexity(self) -> float:
        """exp of the entropy of the codes."""
        return perplexity(self.counts)

    @property
    def lead_entropy_bits(self) -> float:
        """Entropy of the lead: what a code that only named the lead would tell."""
        return entropy_nats(self.lead_counts.sum(axis=0)) / math.log(2)

    @property
    def code_lead_information_bits(self) -> float:
        """Mutual information of code and lead, plug-in estimate."""
        return mutual_information_bits(self.lead_counts)

    @property
    def code_lead_bias_bits(self) -> float:
        """By how much the plug-in estimate is too high with so few patches, to first order (Miller and Madow)."""
        leads = np.count_nonzero(self.lead_counts.sum(axis=0))
        cells = np.count_nonzero(self.lead_counts)
        return max(0.0, float(cells - len(self.by_count) - leads + 1) / (2 * self.patches * math.log(2)))

    def leads_of(self, code: int) -> list[LeadUse]:
        """Where a code occurs, the most frequent lead first."""
        counts = self.lead_counts[code]
        order = [lead for lead in np.argsort(-counts, kind="stable") if counts[lead]]
        return [LeadUse(self.lead_names[lead], int(counts[lead]), float(counts[lead] / counts.sum())) for lead in order]

    def classes_of(self, code: int) -> list[ClassUse]:
        """Rhythm classes that a code occurs in: those with records enough first, the most enriched first."""
        found = [
            ClassUse(
                name=self.class_names[index],
                enrichment=float(self.enrichment[code, index]),
                patches=int(self.class_counts[code, index]),
                records=int(self.class_code_records[code, index]),
                class_records=int(self.class_records[index]),
            )
            for index in np.flatnonzero(self.class_counts[code])
        ]
        return sorted(found, key=lambda use: (not use.has_support, -use.enrichment))

    @cached_property
    def enrichment(self) -> np.ndarray:
        """Share of each class among the patches of each code over its share among all `(K, C)`, in records with one."""
        expected = self.class_counts.sum(axis=0) / max(self.labelled_counts.sum(), 1)
        return self.class_counts / np.maximum(self.labelled_counts, 1)[:, None] / expected

    def to_dict(self) -> dict[str, Any]:
        """Every figure as JSON has it, without the waveforms; codes by frequency."""
        return {
            "codebook_size": self.codebook_size,
            "codebooks": self.codebooks,
            "records": self.records,
            "records_with_rhythm_class": self.labelled_records,
            "patches": self.patches,
            "codes_in_use": self.usage,
            "perplexity": self.perplexity,
            "code_lead_information_bits": self.code_lead_information_bits,
            "code_lead_bias_bits": self.code_lead_bias_bits,
            "lead_entropy_bits": self.lead_entropy_bits,
            "scale_mv": self.scale_mv,
            "unused": self.unused.tolist(),
            "codes": [self._code_to_dict(rank, int(code)) for rank, code in enumerate(self.by_count, 1)],
        }

    def _code_to_dict(self, rank: int, code: int) -> dict[str, Any]:
        return {
            "code": code,
            "rank": rank,
            "patches": int(self.counts[code]),
            "share": float(self.shares[code]),
            "records": int(self.code_records[code]),
            "leads": [vars(use) for use in self.leads_of(code)],
            "classes": [vars(use) for use in self.classes_of(code)],
        }


class CodeStatistics:
    """
    Gathers what codes stand for, batch by batch: counts, sums, and of each code a bounded sample of its patches.

    Args:
        config ([`AnyECGQuantizerConfig`]): Of the quantizer that gave the codes.
        seed (`int`, *optional*, defaults to 0): Of the sample.

    Example:

    ```python
    >>> statistics = CodeStatistics(quantizer.config)
    >>> for batch in batches:
    ...     codes = quantizer.encode(batch["input_values"], batch["attention_mask"], batch["lead_ids"])
    ...     statistics.add(codes, batch["input_values"], batch["attention_mask"], batch["lead_ids"])
    >>> save_codebook_gallery(statistics.finish(), "codes.png")
    ```
    """

    def __init__(self, config: AnyECGQuantizerConfig, seed: int = 0):
        self._config = config
        size, samples = config.codebook_size, config.patch_size
        self._generator = np.random.default_rng(seed)
        self._lead_counts = np.zeros((size, len(config.lead_names)), dtype=np.int64)
        self._sums = np.zeros((size, samples))
        self._kept_of_each = int(np.clip(_KEPT_BYTES // (4 * size * samples), 10, _MOST_KEPT))
        # Of each code, the patches with the smallest of random keys: an even sample, whatever the order.
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._labelled_counts = np.zeros(size, dtype=np.int64)
        self._class_counts: dict[str, np.ndarray] = {}
        self._class_code_records: dict[str, np.ndarray] = {}
        self._class_records: dict[str, int] = {}
        self._code_records = np.zeros(size, dtype=np.int64)
        self._records = self._labelled_records = 0
        self._record_id: str | None = None
        self._record_codes = np.zeros(size, dtype=bool)
        self._record_classes: tuple[str, ...] = ()
        self._log_scales = 0.0
        self._rows = self._rows_with_scale = 0

    def add(
        self,
        codes: Any,
        patches: Any,
        attention_mask: Any,
        lead_ids: Any,
        classes: Sequence[Sequence[str]] | None = None,
        scale: Any = None,
        record_ids: Sequence[str] | None = None,
    ) -> None:
        """
        Adds a batch of windows. Arrays or tensors of any device will do.

        Args:
            codes (array of shape `(B, L, N)` or `(B, L, N, Q)`, int64): Codes; those below 0 are left out.
            patches (array of shape `(B, L, N, S)`): Patches in recording scale.
            attention_mask (array of shape `(B, L, N)`): 1 for real patches; the others are left out.
            lead_ids (array of shape `(B, L)`): Lead of each row.
            classes (`Sequence[Sequence[str]]`, *optional*): Rhythm classes of each window's record, none if nothing is
                known ([`arrhythmia_labels`]).
            scale (array of shape `(B,)`, *optional*): Recording scales in mV, so that waveforms are drawn in mV.
            record_ids (`Sequence[str]`, *optional*): The record of each window; windows of one record follow each
                other, across batches too. Without it every window is a record.

        Raises:
            `ValueError`: if shapes do not agree, or a code is beyond the codebook.
        """
        codes, patches, mask, leads = (to_numpy(value) for value in (codes, patches, attention_mask, lead_ids))
        codes = codes[..., 0] if codes.ndim == 4 else codes
        self._check(codes, patches, mask, leads, classes, record_ids)
        real = mask.astype(bool) & (codes >= 0)
        for row in range(len(codes)):
            record_id = None if record_ids is None else record_ids[row]
            self._enter_record(record_id, tuple(dict.fromkeys(classes[row])) if classes is not None else ())
            counted = np.bincount(codes[row][real[row]], minlength=len(self._sums))
            self._record_codes |= counted > 0
            if self._record_classes:
                self._labelled_counts += counted
            for name in self._record_classes:
                self._class_counts[name] += counted
        found, waveforms = codes[real], patches[real].astype(np.float32)
        np.add.at(self._lead_counts, (found, np.broadcast_to(leads[..., None], codes.shape)[real]), 1)
        np.add.at(self._sums, found, waveforms)
        self._keep(found, waveforms)
        self._rows += len(codes)
        if scale is not None:
            self._log_scales += float(np.log(to_numpy(scale).astype(np.float64)).sum())
            self._rows_with_scale += len(codes)

    def finish(self) -> CodeSummary:
        """
        What was found so far; more records may be added afterwards.

        Raises:
            `ValueError`: if no patch was added.
        """
        self._leave_record()
        counts = self._lead_counts.sum(axis=1)
        if not counts.any():
            raise ValueError("no patch with a code was added: there is nothing to summarise.")
        names = tuple(sorted(self._class_counts, key=lambda name: -self._class_records[name]))
        shape = self._sums.shape
        mean, low, high = (np.full(shape, np.nan, dtype=np.float32) for _ in range(3))
        used = counts > 0
        mean[used] = self._sums[used] / counts[used, None]
        kept = np.zeros(len(counts), dtype=np.int64)
        for code, (keys, waveforms) in self._kept.items():
            kept[code] = len(keys)
            low[code], high[code] = np.percentile(waveforms, [10, 90], axis=0)
        has_scale = 0 < self._rows == self._rows_with_scale
        return CodeSummary(
            sampling_rate=float(self._config.sampling_rate),
            codebooks=self._config.num_quantizers,
            lead_names=tuple(self._config.lead_names),
            lead_counts=self._lead_counts.copy(),
            records=self._records,
            code_records=self._code_records.copy(),
            class_names=names,
            class_counts=_columns(self._class_counts, names, len(counts)),
            class_code_records=_columns(self._class_code_records, names, len(counts)),
            class_records=np.array([self._class_records[name] for name in names], dtype=np.int64),
            labelled_counts=self._labelled_counts.copy(),
            labelled_records=self._labelled_records,
            mean=mean,
            low=low,
            high=high,
            kept=kept,
            scale_mv=float(np.exp(self._log_scales / self._rows)) if has_scale else None,
        )

    def _check(
        self,
        codes: np.ndarray,
        patches: np.ndarray,
        mask: np.ndarray,
        leads: np.ndarray,
        classes: Sequence[Sequence[str]] | None,
        record_ids: Sequence[str] | None,
    ) -> None:
        expected = {"patches": (*codes.shape, self._config.patch_size), "attention_mask": codes.shape}
        expected["lead_ids"] = codes.shape[:2]
        shapes = {"patches": patches.shape, "attention_mask": mask.shape, "lead_ids": leads.shape}
        if codes.ndim != 3 or shapes != expected:
            raise ValueError(f"for codes (B, L, N) of shape {codes.shape} expected {expected}, got {shapes}.")
        if codes.size and codes.max() >= self._config.codebook_size:
            raise ValueError(f"code {codes.max()} is beyond the codebook of {self._config.codebook_size} codes.")
        for name, values in (("classes", classes), ("record_ids", record_ids)):
            if values is not None and len(values) != len(codes):
                raise ValueError(
                    f"`{name}` has {len(values)} entries for {len(codes)} windows: one is needed for each."
                )
        if any(isinstance(names, str) for names in classes or ()):
            raise ValueError("`classes` holds a string where the classes of a window belong: put it into a list.")

    def _enter_record(self, record_id: str | None, classes: tuple[str, ...]) -> None:
        if record_id is not None and record_id == self._record_id and classes == self._record_classes:
            return
        self._leave_record()
        self._record_id, self._record_classes = record_id, classes
        self._records += 1
        self._labelled_records += bool(classes)
        for name in classes:
            self._class_records[name] = self._class_records.get(name, 0) + 1
            for counts in (self._class_counts, self._class_code_records):
                counts.setdefault(name, np.zeros(len(self._sums), dtype=np.int64))

    def _leave_record(self) -> None:
        self._code_records += self._record_codes
        for name in self._record_classes:
            self._class_code_records[name] += self._record_codes
        self._record_codes[:] = False
        self._record_id, self._record_classes = None, ()

    def _keep(self, codes: np.ndarray, waveforms: np.ndarray) -> None:
        keys = self._generator.random(len(codes))
        order = np.argsort(codes, kind="stable")
        for code, group in zip(*_groups(codes[order], order), strict=True):
            known = self._kept.get(code)
            if known is not None and len(known[0]) == self._kept_of_each:
                group = group[keys[group] < known[0].max()]
                if not len(group):
                    continue
            joined_keys, joined = keys[group], waveforms[group]
            if known is not None:
                joined_keys, joined = np.concatenate([known[0], joined_keys]), np.concatenate([known[1], joined])
            smallest = np.argsort(joined_keys, kind="stable")[: self._kept_of_each]
            self._kept[code] = joined_keys[smallest], joined[smallest]


def _groups(sorted_codes: np.ndarray, order: np.ndarray) -> tuple[list[int], list[np.ndarray]]:
    """Every code and the indices of its patches."""
    present, starts = np.unique(sorted_codes, return_index=True)
    return present.tolist(), np.split(order, starts[1:]) if len(present) else []


def _columns(counts: dict[str, np.ndarray], names: Sequence[str], size: int) -> np.ndarray:
    return np.stack([counts[name] for name in names], axis=1) if names else np.zeros((size, 0), dtype=np.int64)


__all__ = ["FEWEST_RECORDS", "ClassUse", "CodeStatistics", "CodeSummary", "LeadUse"]
