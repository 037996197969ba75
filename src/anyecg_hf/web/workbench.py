# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the page can do, without the page: a checkpoint, records analysed with it, and lookups of their codes."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anyecg_hf.models.anyecg import AnyECGForLeadReconstruction
from anyecg_hf.models.anyecg.configuration_anyecg import UNKNOWN_LEAD
from anyecg_hf.pipelines import RecordAnalysis, RecordAnalyzer
from anyecg_hf.pipelines.lead_restoration import RestoredLead, load_restorer, restore_leads
from anyecg_hf.plotting.code_cards import CodeCard, cards_of
from anyecg_hf.plotting.code_statistics import CodeStatistics
from anyecg_hf.plotting.code_summary_files import FILE_NAME, CodeGallery, load_code_summary
from anyecg_hf.records import ECGRecord


@dataclass(frozen=True, eq=False)
class Study:
    """
    One visitor's record, analysed.

    Attributes:
        analysis ([`RecordAnalysis`]): What the checkpoint says about it.
        notes (`tuple[str, ...]`): What reading and cleaning had to say.
        simulated (`bool`): Whether it is one of the samples.
    """

    analysis: RecordAnalysis
    notes: tuple[str, ...]
    simulated: bool

    @property
    def codes(self) -> np.ndarray:
        """Codes `(L, N)`, of residual codebooks the first; -1 where masked."""
        codes = self.analysis.codes
        return codes[..., 0] if codes.ndim == 3 else codes

    @property
    def restorable(self) -> list[str]:
        """Leads that can be taken out and restored: the others must know them by name."""
        names = self.analysis.record.lead_names
        return [name for name in names if name != UNKNOWN_LEAD] if len(names) > 1 else []


@dataclass(frozen=True, eq=False)
class CodeLookup:
    """
    A patch of a study, and what its code stands for.

    Attributes:
        lead_name (`str`), start_s (`float`), end_s (`float`): Where the patch lies.
        code (`int`): Its code.
        uses (`dict[str, int]`): Lead of the record -> patches with this code.
        patch (`np.ndarray` of shape `(S,)`, float32): Its waveform, in the gallery's unit.
        card ([`CodeCard`], *optional*): The gallery's entry; `None` if the code occurs in none of its records.
        gallery ([`CodeGallery`]): Where the entry is from.
    """

    lead_name: str
    start_s: float
    end_s: float
    code: int
    uses: dict[str, int]
    patch: np.ndarray
    card: CodeCard | None
    gallery: CodeGallery


class Workbench:
    """
    A checkpoint with all its parts loaded, so that what is wrong with it shows before the first visitor comes.

    Args:
        checkpoint (`str` or `os.PathLike`): Local folder or Hub name.
        device (`str`, *optional*, defaults to `"cpu"`): Where the models run.
        window_s (`float`, *optional*): Longest window in seconds; the training window by default.
        gallery (`str` or `os.PathLike`, *optional*): File of `anyecg codebook -o NAME.safetensors`; by default
            `code_gallery.safetensors` in the checkpoint's folder, if there is one. Without any, a code is told of from
            the visitor's own record.

    Raises:
        `ValueError`: if the checkpoint has no quantizer or no classifier, or the gallery is another quantizer's.

    Example:

    ```python
    >>> workbench = Workbench(anyecg_hf.TINY)
    >>> study = workbench.study(read_record("records500/00000/00001_hr"))
    >>> workbench.look_up(study, lead=1, patch=3).code
    ```
    """

    def __init__(
        self,
        checkpoint: str | os.PathLike,
        device: str = "cpu",
        window_s: float | None = None,
        gallery: str | os.PathLike | None = None,
    ):
        self.name = Path(checkpoint).name
        self.analyzer = RecordAnalyzer(checkpoint, device=device, window_s=window_s)
        self.analyzer.load("tokenizer", "quantizer", "classifier")
        self.restorer: AnyECGForLeadReconstruction | None = None
        self.no_restorer = ""
        try:
            self.restorer = load_restorer(checkpoint, device)
        except ValueError as error:
            self.no_restorer = str(error)
        own = Path(checkpoint) / FILE_NAME
        path = own if gallery is None and own.is_file() else gallery
        self.gallery = None if path is None else load_code_summary(path, self.analyzer.quantizer)

    @property
    def sampling_rate(self) -> int:
        """Rate of everything after cleaning, in Hz."""
        return self.analyzer.tokenizer.sampling_rate

    @property
    def patch_seconds(self) -> float:
        """Length of a patch in seconds."""
        return self.analyzer.tokenizer.patch_seconds

    def study(self, record: ECGRecord, notes: Sequence[str] = (), simulated: bool = False) -> Study:
        """
        Analyses a record.

        Args:
            record ([`ECGRecord`]): The record.
            notes (`Sequence[str]`, *optional*): What reading it had to say.
            simulated (`bool`, *optional*, defaults to `False`): Whether it is a sample.

        Returns:
            [`Study`]

        Raises:
            `ValueError`: if nothing of the record can be used.
        """
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            analysis = self.analyzer.analyse(record)
        told = dict.fromkeys([*notes, *(str(warning.message) for warning in caught)])
        return Study(analysis, tuple(told), simulated)

    def look_up(self, study: Study, lead: int, patch: int) -> CodeLookup:
        """
        What the code of one patch stands for.

        Args:
            study ([`Study`]): The record.
            lead (`int`), patch (`int`): The patch, both counted from 0.

        Returns:
            [`CodeLookup`]

        Raises:
            `ValueError`: if there is no such patch, or it is masked and has no code.
        """
        codes, cleaned = study.codes, study.analysis.cleaned
        if not (0 <= lead < codes.shape[0] and 0 <= patch < codes.shape[1]):
            raise ValueError(f"there is no patch {patch} of lead {lead}: the record has {codes.shape} of them.")
        code = int(codes[lead, patch])
        names = study.analysis.record.lead_names
        if code < 0:
            raise ValueError(f"patch {patch} of lead {names[lead]} is masked: it has no code.")
        gallery = self.gallery or self._own_gallery(study)
        found = (codes == code).sum(axis=1)
        return CodeLookup(
            lead_name=names[lead],
            start_s=patch * self.patch_seconds,
            end_s=(patch + 1) * self.patch_seconds,
            code=code,
            uses={names[place]: int(found[place]) for place in np.argsort(-found, kind="stable") if found[place]},
            patch=cleaned.patches[lead, patch] * (gallery.summary.scale_mv or 1.0),
            card=next(cards_of(gallery.summary, [code])) if gallery.summary.counts[code] else None,
            gallery=gallery,
        )

    def restore(self, study: Study, lead_names: Sequence[str]) -> list[RestoredLead]:
        """
        Takes leads out of a record and restores them from the others.

        Args:
            study ([`Study`]): The record.
            lead_names (`Sequence[str]`): Leads to take out.

        Returns:
            `list[RestoredLead]`

        Raises:
            `ValueError`: if the checkpoint cannot, no lead is named, one is unknown, or none is left.
        """
        if self.restorer is None:
            raise ValueError(self.no_restorer)
        if not lead_names:
            raise ValueError("choose a lead or more to take out.")
        known = study.analysis.record.lead_names
        unknown = [name for name in lead_names if name not in study.restorable]
        if unknown:
            raise ValueError(f"leads {', '.join(unknown)} cannot be restored: the record has {', '.join(known)}.")
        places = [known.index(name) for name in lead_names]
        return restore_leads(self.restorer, self.analyzer.tokenizer, study.analysis.cleaned, places)

    def _own_gallery(self, study: Study) -> CodeGallery:
        """The study's own codes, where no gallery is at hand."""
        tokenizer, cleaned = self.analyzer.tokenizer, study.analysis.cleaned
        statistics = CodeStatistics(tokenizer.quantizer.config)
        batch = tokenizer.pad([tokenizer.feature(cleaned)], return_tensors="np")
        statistics.add(
            study.codes[None],
            *(batch["input_values"], batch["attention_mask"], batch["lead_ids"]),
            scale=batch["scale"],
        )
        return CodeGallery(statistics.finish(), "this record alone: the checkpoint brings no gallery")


__all__ = ["CodeLookup", "Study", "Workbench"]
