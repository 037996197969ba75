# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the gallery says of the codebook and of each code, the same in a picture and on a page."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from .code_statistics import FEWEST_RECORDS, ClassUse, CodeSummary, LeadUse

# Squares of ECG paper in seconds and millivolts; without millivolts, in recording scale.
SMALL_S, LARGE_S = 0.04, 0.2
_SQUARES_MV, _SQUARES_SCALE = (0.1, 0.5), (0.5, 2.5)
# No waveform is magnified beyond so many small squares.
_LEAST_SQUARES = 4
# In recording scale: so much is no baseline.
LARGE_DEFLECTION = 4.0
_MOST_LISTED = 3


@dataclass(frozen=True, eq=False)
class CodeCard:
    """
    One code of the gallery.

    Attributes:
        code (`int`), rank (`int`), patches (`int`), share (`float`), records (`int`): The code and how often it occurs.
        mean, low, high (`np.ndarray` of shape `(S,)`): Waveform and spread in the gallery's unit.
        bottom (`float`), top (`float`): Range that shows all of them, whole small squares.
        leads (`list[LeadUse]`), classes (`list[ClassUse]`): Where it occurs.
    """

    code: int
    rank: int
    patches: int
    share: float
    records: int
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    bottom: float
    top: float
    leads: list[LeadUse]
    classes: list[ClassUse]

    def with_room_for(self, values: np.ndarray, square: float) -> Self:
        """The same card whose range shows `values` too, in the gallery's unit; `square` is a small square's height."""
        low, high = min(self.bottom, float(values.min())), max(self.top, float(values.max()))
        bottom, top = _whole_squares(low, high, square)
        return replace(self, bottom=bottom, top=top)

    @property
    def lead_text(self) -> str:
        """The leads where it occurs most."""
        return ", ".join(f"{use.name} {use.share:.0%}" for use in self.leads[:_MOST_LISTED])

    @property
    def class_text(self) -> str:
        """The rhythm class that it stands out in, if it does in records enough."""
        best = next(iter(self.classes), None)
        if best is None:
            return "in no record with a rhythm class"
        if not best.has_support or round(best.enrichment, 1) <= 1:
            return f"no class in {FEWEST_RECORDS} records or more stands out"
        return f"{best.name} ×{best.enrichment:.1f} in {best.records} of {best.class_records} records"


@dataclass(frozen=True)
class Squares:
    """The paper that waveforms are drawn on: its unit and the height of its squares."""

    unit: str
    small: float
    large: float


def squares(summary: CodeSummary) -> Squares:
    """Millivolts where the recording scales are known."""
    if summary.scale_mv is None:
        return Squares("recording scale", *_SQUARES_SCALE)
    return Squares("mV", *_SQUARES_MV)


def code_cards(summary: CodeSummary, most: int) -> Iterator[CodeCard]:
    """The `most` most frequent codes."""
    yield from cards_of(summary, summary.by_count[:most].tolist())


def deflection_cards(summary: CodeSummary, most: int) -> Iterator[CodeCard]:
    """The most frequent of the codes with a deflection of `LARGE_DEFLECTION` or more: beats, where others rest."""
    frequent = summary.by_count
    deflections = np.ptp(summary.mean[frequent], axis=1)
    yield from cards_of(summary, frequent[deflections >= LARGE_DEFLECTION][:most].tolist())


def class_cards(summary: CodeSummary) -> Iterator[CodeCard]:
    """For every rhythm class the code that it is most enriched in, if a code is in records enough of it."""
    for index in range(len(summary.class_names)):
        has_support = summary.class_code_records[:, index] >= FEWEST_RECORDS
        enriched = np.where(has_support, summary.enrichment[:, index], 0.0)
        best = int(enriched.argmax())
        if enriched[best] > 1:
            (card,) = cards_of(summary, [best])
            yield replace(card, classes=[use for use in card.classes if use.name == summary.class_names[index]])


def cards_of(summary: CodeSummary, codes: Sequence[int]) -> Iterator[CodeCard]:
    """The codes named, each of which must occur."""
    counts, shares, factor = summary.counts, summary.shares, summary.scale_mv or 1.0
    small = squares(summary).small
    ranks = {code: rank for rank, code in enumerate(summary.by_count.tolist(), 1)}
    for code in codes:
        low, mean, high = (values[code] * factor for values in (summary.low, summary.mean, summary.high))
        bottom, top = _whole_squares(float(min(low.min(), mean.min())), float(max(high.max(), mean.max())), small)
        yield CodeCard(
            code=code,
            rank=ranks[code],
            patches=int(counts[code]),
            share=float(shares[code]),
            records=int(summary.code_records[code]),
            mean=mean,
            low=low,
            high=high,
            bottom=bottom,
            top=top,
            leads=summary.leads_of(code),
            classes=summary.classes_of(code),
        )


def _whole_squares(low: float, high: float, square: float) -> tuple[float, float]:
    first, last = math.floor(low / square), math.ceil(high / square)
    while last - first < _LEAST_SQUARES:
        first, last = first - 1, last + 1
    return first * square, last * square


def facts(summary: CodeSummary) -> list[str]:
    """Sentences on the whole codebook."""
    samples = summary.mean.shape[1]
    lines = [
        f"{summary.patches:,} patches of {samples / summary.sampling_rate:g} s in {summary.records:,} records,"
        f" {summary.labelled_records:,} of them with a rhythm class.",
        f"{len(summary.by_count):,} of {summary.codebook_size:,} codes in use ({summary.usage:.1%}),"
        f" perplexity {summary.perplexity:.0f}."
        f" A code tells {summary.code_lead_information_bits:.2f} of the {summary.lead_entropy_bits:.2f} bits of the"
        f" lead (with so few patches about {summary.code_lead_bias_bits:.2f} too many).",
        f"Black: mean patch. Grey: 10 to 90 % of up to {int(summary.kept.max())} patches drawn evenly.",
        _scale_fact(summary),
        f"×: share of the class among the code's patches over its share among all, in records with a rhythm class;"
        f" only classes with the code in {FEWEST_RECORDS} records or more stand out.",
    ]
    if summary.codebooks > 1:
        lines.insert(0, f"The first of {summary.codebooks} residual codebooks; the others are not shown.")
    return lines


def _scale_fact(summary: CodeSummary) -> str:
    paper = squares(summary)
    grid = f"Squares: {SMALL_S:g} s and {paper.small:g} {paper.unit}, large {LARGE_S:g} s and {paper.large:g}"
    if summary.scale_mv is None:
        return f"{grid}; 1 is the standard deviation of a record."
    return f"{grid}, at the geometric mean of the recording scales, {summary.scale_mv:.3f} mV."


def ranges(codes: Sequence[int]) -> str:
    """Codes as text, `3, 7-9, 12`."""
    runs: list[list[int]] = []
    for code in codes:
        if runs and code == runs[-1][-1] + 1:
            runs[-1].append(code)
        else:
            runs.append([code])
    return ", ".join(f"{run[0]}" if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


__all__ = [
    *("LARGE_DEFLECTION", "LARGE_S", "SMALL_S", "CodeCard", "Squares", "cards_of", "class_cards"),
    *("code_cards", "deflection_cards", "facts", "ranges", "squares"),
]
