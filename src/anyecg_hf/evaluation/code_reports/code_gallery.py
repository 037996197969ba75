# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Gathers what the codes of a quantizer stand for, over records of any length and whole corpora."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from anyecg_hf.corpora.label_sets import arrhythmia_labels
from anyecg_hf.models.anyecg import AnyECGRhythmQuantizer, AnyECGTokenizer, CleanedECG, ECGWindow
from anyecg_hf.models.anyecg.checkpoint_files_anyecg import refuse_path_to_nothing
from anyecg_hf.models.anyecg.windowing_anyecg import window_spans
from anyecg_hf.pipelines.record_analysis import LONG_RECORD_S
from anyecg_hf.plotting.code_statistics import CodeStatistics, CodeSummary
from anyecg_hf.records import ECGRecord, RecordSource

_SETTINGS, _QUANTIZER = "preprocessor_config.json", "quantizer"


def load_tokenizer(checkpoint: str | os.PathLike) -> AnyECGTokenizer:
    """
    The tokenizer of a checkpoint, or the one that belongs to a bare quantizer: how to clean is never guessed.

    Args:
        checkpoint (`str` or `os.PathLike`): A checkpoint (folder or Hub name), or the folder of a quantizer with
            `preprocessor_config.json` in it or in the folder above.

    Returns:
        [`AnyECGTokenizer`]: with its quantizer loaded.

    Raises:
        `FileNotFoundError`: if it is a path to nothing.
        `ValueError`: if it has no quantizer, or nothing says how to clean.
    """
    refuse_path_to_nothing(checkpoint)
    folder = Path(checkpoint)
    if not folder.is_dir():
        tokenizer = AnyECGTokenizer.from_pretrained(checkpoint)
    else:
        is_quantizer = _is_quantizer(folder)
        places = (folder, folder.resolve().parent) if is_quantizer else (folder,)
        settings = next((place for place in places if (place / _SETTINGS).is_file()), None)
        if settings is None:
            raise ValueError(
                f"{folder} does not say how records are cleaned: expected {_SETTINGS} in it"
                f"{' or in the folder above' if is_quantizer else ''}. Pass a checkpoint that `save_pretrained` of an"
                " AnyECGTokenizer has written."
            )
        tokenizer = AnyECGTokenizer.from_pretrained(settings)
        if is_quantizer:
            tokenizer.quantizer = AnyECGRhythmQuantizer.from_pretrained(folder)
    tokenizer.quantizer  # noqa: B018 - what is wrong with it is no fault of a record
    return tokenizer


def _is_quantizer(folder: Path) -> bool:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return config.get("model_type") == AnyECGRhythmQuantizer.config_class.model_type


@dataclass(frozen=True)
class RecordLeftOut:
    """A record of a corpus that could not be used, and why."""

    path: str
    reason: str


class CodeGatherer:
    """
    Encodes records as the rest of the package does, in even windows of at most the training length, and gathers
    [`CodeStatistics`]. Records of more than ten minutes are read block by block.

    Args:
        tokenizer ([`AnyECGTokenizer`]): With a quantizer.
        window_s (`float`, *optional*): Longest window in seconds; what the quantizer was trained on by default.
        seed (`int`, *optional*, defaults to 0): Of the sample that the spread is measured on.

    Raises:
        `ValueError`: if the window is shorter than a patch.
    """

    def __init__(self, tokenizer: AnyECGTokenizer, window_s: float | None = None, seed: int = 0):
        config = tokenizer.quantizer.config
        self.tokenizer = tokenizer
        self.window_patches = config.trained_window_patches
        if window_s is not None:
            if not window_s >= tokenizer.patch_seconds or window_s == float("inf"):
                raise ValueError(
                    f"the window must be at least a patch of {tokenizer.patch_seconds:g} s, got {window_s:g}."
                )
            self.window_patches = round(window_s / tokenizer.patch_seconds)
        self.statistics = CodeStatistics(config, seed)

    def add_source(self, source: RecordSource, record_id: str) -> None:
        """
        Adds an opened record. Its rhythm classes are those of the SNOMED CT codes among its labels.

        Args:
            source ([`RecordSource`]): From [`open_record`].
            record_id (`str`): What tells it from the record before it.

        Raises:
            `ValueError`: if it cannot be cleaned, or no patch of it can be used.
        """
        if source.duration_s <= LONG_RECORD_S:
            self.add_record(source.to_record(), record_id)
            return
        classes, usable = arrhythmia_labels(source.facts.labels), False
        for window in self.tokenizer.stream(source, self.window_patches * self.tokenizer.patch_seconds):
            if window.patch_mask.any():
                usable = True
                self._add(window, classes, record_id)
        if not usable:
            raise ValueError("no lead of the record can be used.")

    def add_record(self, record: ECGRecord, record_id: str) -> None:
        """As [`~CodeGatherer.add_source`], for a record in memory."""
        cleaned = self.tokenizer.clean(record)
        if not cleaned.patch_mask.any():
            reasons = ", ".join(f"{record.lead_names[lead]} is {why}" for lead, why in sorted(cleaned.unusable.items()))
            raise ValueError(f"no lead of the record can be used: {reasons or 'all is missing'}.")
        self._add(cleaned, arrhythmia_labels(record.labels), record_id)

    def add_corpus(self, name: str, data_dir: str | os.PathLike) -> Iterator[RecordLeftOut | None]:
        """
        Adds every record of a corpus, of all splits, one at a time; needs `datasets`. Rhythm classes are those of its
        labels mapped to SNOMED CT.

        Args:
            name (`str`): Name of the corpus.
            data_dir (`str` or `os.PathLike`): Its folder.

        Yields:
            [`RecordLeftOut`] or `None`: for every record why it was left out, or nothing.

        Raises:
            `ValueError`: if the corpus is unknown.
            [`CorpusError`]: if the folder does not hold it.
        """
        # Late: records by themselves need no `datasets`.
        from anyecg_hf.corpora.building import ReportLine
        from anyecg_hf.corpora.cleaned import record_of
        from anyecg_hf.corpora.loading import corpus_builder
        from anyecg_hf.corpora.preparation_report import SKIPPED

        builder = corpus_builder(name, data_dir)
        files = builder.corpus_files()
        entries, lines = builder.entries_of(files)
        unread: list[ReportLine] = list(lines)
        for row in builder.rows(entries, files, unread):
            # In a folder whose label system nobody has named, codes may be among the native labels.
            labels = [*row["labels"], *row["native_labels"]]
            record = record_of({**row, "labels": labels, "signal": row["signal"].to_millivolts()})
            try:
                self.add_record(record, record.source)
            except ValueError as error:
                yield RecordLeftOut(record.source, str(error))
            else:
                yield None
        yield from (RecordLeftOut(f"{name}/{line.path}", line.reason) for line in unread if line.outcome == SKIPPED)

    def finish(self) -> CodeSummary:
        """
        What was found.

        Raises:
            `ValueError`: if no record was added.
        """
        return self.statistics.finish()

    def _add(self, cleaned: CleanedECG | ECGWindow, classes: tuple[str, ...], record_id: str) -> None:
        feature = self.tokenizer.feature(cleaned)
        for span in window_spans(cleaned.patch_mask.shape[1], self.window_patches):
            part = {name: feature[name][:, span] for name in ("input_values", "attention_mask")}
            batch = self.tokenizer.pad([{**feature, **part}], return_tensors="pt")
            self.statistics.add(
                self.tokenizer.encode(batch),
                *(batch["input_values"], batch["attention_mask"], batch["lead_ids"]),
                classes=[classes],
                scale=batch["scale"],
                record_ids=[record_id],
            )


__all__ = ["CodeGatherer", "RecordLeftOut", "load_tokenizer"]
