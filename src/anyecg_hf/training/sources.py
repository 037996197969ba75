# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Records of a run: read and cleaned once, checked for leaks, and accounted for."""

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path

import datasets

from anyecg_hf.corpora import clean_corpus, load_corpus, mix_corpora
from anyecg_hf.corpora.cleaned import PATCH_FEATURES
from anyecg_hf.corpora.signal_feature import ECG_FORMAT
from anyecg_hf.models.anyecg import AnyECGTokenizer
from anyecg_hf.training.configs import DataConfig, SourceConfig
from anyecg_hf.training.leaks import (
    CopyFinder,
    NotHeldOut,
    RowKey,
    find_leaks,
    keys_of,
    refuse_leak,
    refuse_shared,
    row_keys,
    rows_of_records,
    without_copies,
)

logger = logging.getLogger(__name__)

# What training, tasks and reports ask of a row beside the patches.
_FACTS = (
    *("record_id", "patient_id", "corpus", "age_years", "sex", "weight_kg", "labels", "native_labels", "superclasses"),
    *("annotations", "fold"),
)
# Arguments of `load_corpus` that are no options of a corpus; tasks rely on codes in `labels`.
_OWN_OPTIONS = {"name", "data_dir", "split", "streaming", "num_proc", "labels", "raw", "cache_dir"}
_WINDOWS_A_ROW = 2  # longer records are cut: with some room to draw a window in, and none too large


@dataclass
class CorpusRows:
    """
    What there is of a corpus.

    Attributes:
        rows (`int`): Rows of an epoch.
        records (`int`): Records they are of.
        hours (`float`): Their duration.
    """

    rows: int = 0
    records: int = 0
    hours: float = 0.0


@dataclass
class DataFacts:
    """
    What a run says of its records.

    Attributes:
        rows (`dict[str, int]`): Rows that may be trained on, by source: those that lack the labels of a task, too.
        records (`dict[str, int]`): Records they are of.
        validation_rows (`int`): Rows to validate on.
        dropped (`dict[str, int]`): Training records left out, by reason.
        fingerprint (`str` or `None`): SHA-256 over the fingerprints of all these training records, whatever their
            order; `None` for a stream.
        trained_on, validated_on (`dict[str, CorpusRows]`): What the task has left of each corpus; nothing of a stream.
        parent_sha256 (`str` or `None`): Hash of the tokenizer and the weights that the run starts from.
    """

    rows: dict[str, int] = field(default_factory=dict)
    records: dict[str, int] = field(default_factory=dict)
    validation_rows: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    fingerprint: str | None = None
    trained_on: dict[str, CorpusRows] = field(default_factory=dict)
    validated_on: dict[str, CorpusRows] = field(default_factory=dict)
    parent_sha256: str | None = None


@dataclass
class TrainingRows:
    """
    Cleaned rows of a run.

    Attributes:
        train (`datasets.Dataset` or `datasets.IterableDataset`): To train on.
        validation (`datasets.Dataset`, *optional*): To validate on.
        facts ([`DataFacts`]): What to say of them.
    """

    train: datasets.Dataset | datasets.IterableDataset
    validation: datasets.Dataset | None
    facts: DataFacts


def load_rows(config: DataConfig, tokenizer: AnyECGTokenizer) -> TrainingRows:
    """
    Reads and cleans the records of a run.

    Args:
        config ([`DataConfig`]): Sources.
        tokenizer ([`AnyECGTokenizer`]): How to clean.

    Returns:
        [`TrainingRows`]

    Raises:
        [`LeakError`]: if training records are copies of validation or held-out ones, or of the same patients, and
            `config.on_leak` is `"refuse"`.
        `ValueError`: if there is nothing to train on, or a source is not one.
    """
    check_sources(config)
    window = window_patches(config, tokenizer)
    most_patches = _WINDOWS_A_ROW * window
    # Cut into windows, so that all of a long record is validated on.
    validation = [cleaned_source(source, config, tokenizer, window, streaming=False) for source in config.validation]
    held_out = [cleaned_source(source, config, tokenizer, None, streaming=False) for source in config.held_out]
    refuse_shared(validation, held_out, "validation")
    forbidden = keys_of([*validation, *held_out])
    if config.deduplicate:
        validation = without_copies(validation)
    train = {
        f"{number}: {source.corpus or source.parquet}": cleaned_source(
            source, config, tokenizer, most_patches, streaming=config.streaming
        )
        for number, source in enumerate(config.train, start=1)
    }
    facts = DataFacts(validation_rows=sum(map(len, validation)))
    if config.streaming:
        check = NotHeldOut(forbidden, config.on_leak)
        train = {name: part.filter(check, input_columns=list(RowKey._fields)) for name, part in train.items()}
    else:
        train = without_leaks(train, forbidden, config, facts)
    return TrainingRows(
        train=joined_sources(train, [source.weight for source in config.train]),
        validation=datasets.concatenate_datasets(validation).with_format(ECG_FORMAT) if validation else None,
        facts=facts,
    )


def check_sources(config: DataConfig) -> None:
    """Raises `ValueError` for what can be told before any record is read."""
    if not config.train:
        raise ValueError("`data.train` is empty: name at least one source of records.")
    for source in [*config.train, *config.validation, *config.held_out]:
        if (source.corpus is None) == (source.parquet is None):
            raise ValueError(f"a source of records must have `corpus` or `parquet`, one of them; got {source}.")
        reserved = sorted(_OWN_OPTIONS.intersection(source.options))
        if reserved:
            raise ValueError(f"`options` of a source must not have {', '.join(reserved)}: the run decides that.")
    if len({source.weight is None for source in config.train}) > 1:
        raise ValueError("`weight` must be given for every training source or for none.")
    if config.streaming and config.deduplicate:
        raise ValueError("`deduplicate` needs all records at once, and `streaming` never has them: use one of the two.")


def window_patches(config: DataConfig, tokenizer: AnyECGTokenizer) -> int:
    """
    Patches of a training window.

    Args:
        config ([`DataConfig`]): `window_s`.
        tokenizer ([`AnyECGTokenizer`]): Length of a patch.

    Returns:
        `int`

    Raises:
        `ValueError`: if `window_s` is no whole number of patches.
    """
    patches = round(config.window_s / tokenizer.patch_seconds)
    if patches < 1 or abs(patches * tokenizer.patch_seconds - config.window_s) > 1e-6:
        raise ValueError(
            f"`window_s` must be a multiple of the patch, {tokenizer.patch_seconds:g} s, got {config.window_s:g}."
        )
    return patches


def cleaned_source(
    source: SourceConfig, config: DataConfig, tokenizer: AnyECGTokenizer, most_patches: int | None, streaming: bool
) -> datasets.Dataset | datasets.IterableDataset:
    """
    The cleaned rows of a source.

    Args:
        source ([`SourceConfig`]), config ([`DataConfig`]): What to read, and how.
        tokenizer ([`AnyECGTokenizer`]): How to clean.
        most_patches (`int` or `None`): As in `clean_corpus`.
        streaming (`bool`): Whether to read while iterating.

    Returns:
        `datasets.Dataset` or `datasets.IterableDataset`: of the columns that training, tasks and reports look at.

    Raises:
        `ValueError`: as [`source_records`].
    """
    corpus = source_records(source, config, streaming)
    cleaned = clean_corpus(corpus, tokenizer, num_proc=config.num_proc, most_patches=most_patches)
    return cleaned.select_columns([*PATCH_FEATURES, *_FACTS])


def source_records(
    source: SourceConfig, config: DataConfig, streaming: bool
) -> datasets.Dataset | datasets.IterableDataset:
    """
    The records of a source as they were read, signals in mV; arguments as of [`cleaned_source`].

    Raises:
        `ValueError`: if there is no record of its split and folds.
    """
    corpus = _read(source, config, streaming)
    if source.folds is not None:
        corpus = corpus.filter(_InFolds(source.folds), input_columns="fold")
    if not streaming and not len(corpus):
        raise ValueError(f"a source has no records of its split and folds: {source}.")
    return corpus


def _read(source: SourceConfig, config: DataConfig, streaming: bool) -> datasets.Dataset | datasets.IterableDataset:
    split = None if source.split == "all" else source.split
    if source.parquet is None:
        found = load_corpus(
            source.corpus,
            source.data_dir and _below(config.root, source.data_dir),
            split=split,
            streaming=streaming,
            num_proc=config.num_proc,
            cache_dir=config.cache_dir,
            **source.options,
        )
        return joined_sources(found, [None] * len(found)) if split is None else found
    files = sorted(glob(_below(config.root, source.parquet), recursive=True))
    if not files:
        raise ValueError(f"there is no file {_below(config.root, source.parquet)!r}.")
    corpus = datasets.load_dataset(
        "parquet", data_files=files, split="train", streaming=streaming, cache_dir=config.cache_dir
    )
    if split is not None and "split" in corpus.features:
        corpus = corpus.filter(_IsSplit(split), input_columns="split")
    return corpus


def _below(root: str | None, path: str) -> str:
    return str(Path(root or "") / path)


@dataclass(frozen=True)
class _InFolds:
    folds: Sequence[int]

    def __call__(self, fold: int | None) -> bool:
        return fold in self.folds


@dataclass(frozen=True)
class _IsSplit:
    split: str

    def __call__(self, split: str | None) -> bool:
        return split in (None, self.split)


def without_leaks(
    train: Mapping[str, datasets.Dataset],
    forbidden: Mapping[tuple[str, ...], str],
    config: DataConfig,
    facts: DataFacts,
) -> dict[str, datasets.Dataset]:
    """
    The training rows without those that leak, and without copies if the configuration says so.

    Args:
        train (`Mapping[str, datasets.Dataset]`): Source -> its rows.
        forbidden (`Mapping[tuple[str, ...], str]`): Of the records that are held out ([`keys_of`]).
        config ([`DataConfig`]): `on_leak` and `deduplicate`.
        facts ([`DataFacts`]): Filled in.

    Returns:
        `dict[str, datasets.Dataset]`: source -> rows that are kept.

    Raises:
        [`LeakError`]: for a leak, if `on_leak` is `"refuse"`.
        `ValueError`: if nothing is left.
    """
    kept, dropped, fingerprints = {}, Counter(), set()
    copies = CopyFinder()
    leaks = find_leaks(train.values(), forbidden)

    def is_kept(row: RowKey) -> bool:
        if row in leaks:
            refuse_leak(row, leaks[row], forbidden, config.on_leak)
            dropped[f"same {leaks[row][0]} as a validation or held-out record"] += 1
        elif config.deduplicate and copies.is_copy(row):
            dropped["copy of another training record"] += 1
        else:
            fingerprints.add(row.fingerprint or f"{row.corpus}/{row.record_id}")
            return True
        return False

    for name, part in train.items():
        kept[name] = rows_of_records(part, is_kept)
        facts.rows[name] = len(kept[name])
        facts.records[name] = len(set(row_keys(kept[name])))
    if dropped:
        logger.warning("%d training records are left out: %s", dropped.total(), dict(dropped))
    if not fingerprints:
        raise ValueError("there is no record to train on: the sources are empty, or all of their records are left out.")
    facts.dropped = dict(dropped)
    facts.fingerprint = hashlib.sha256("".join(sorted(fingerprints)).encode()).hexdigest()
    return kept


def rows_by_corpus(rows: datasets.Dataset, patch_s: float) -> dict[str, CorpusRows]:
    """
    How much of each corpus there is.

    Args:
        rows (`datasets.Dataset`): Cleaned rows.
        patch_s (`float`): Duration in seconds of what `n_patches` counts.

    Returns:
        `dict[str, CorpusRows]`: in the order of the corpora's names.
    """
    sizes: dict[str, list[int]] = {}
    records: dict[str, set[RowKey]] = {}
    counts = rows.select_columns(["n_patches"]).with_format(None)["n_patches"]
    for key, n_patches in zip(row_keys(rows), counts, strict=True):
        sizes.setdefault(key.corpus, []).append(n_patches)
        records.setdefault(key.corpus, set()).add(key)
    return {
        name: CorpusRows(len(sizes[name]), len(records[name]), round(sum(sizes[name]) * patch_s / 3600, 4))
        for name in sorted(sizes)
    }


def joined_sources(
    parts: Mapping[str, datasets.Dataset | datasets.IterableDataset], weights: Sequence[float | None]
) -> datasets.Dataset | datasets.IterableDataset:
    """
    All sources as one dataset. Streams without weights are mixed by their numbers of shards, which for corpora that are
    read from their own files are records; the shorter ones may begin anew before the longest ends.

    Args:
        parts (`Mapping[str, datasets.Dataset]`, or of `datasets.IterableDataset`): Source -> its rows.
        weights (`Sequence[float | None]`): How often a row is drawn from each, or `None` for all of them.

    Returns:
        `datasets.Dataset` or `datasets.IterableDataset`
    """
    if None not in weights:
        return mix_corpora(parts, dict(zip(parts, weights, strict=True)))
    if len(parts) == 1:
        return next(iter(parts.values()))
    if any(isinstance(part, datasets.IterableDataset) for part in parts.values()):
        # Not concatenated: to shuffle or split a concatenation of streams takes the cube of their shards.
        return mix_corpora(parts, {name: part.num_shards for name, part in parts.items()})
    return datasets.concatenate_datasets(list(parts.values())).with_format(ECG_FORMAT)


__all__ = [
    "CorpusRows",
    "DataFacts",
    "TrainingRows",
    "check_sources",
    "cleaned_source",
    "joined_sources",
    "load_rows",
    "rows_by_corpus",
    "source_records",
    "window_patches",
    "without_leaks",
]
