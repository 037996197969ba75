# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Records of a run: read and cleaned once, checked for leaks, and accounted for."""

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from typing import NamedTuple

import datasets

from anyecg_hf.corpora import clean_corpus, load_corpus, mix_corpora
from anyecg_hf.corpora.cleaned import PATCH_FEATURES
from anyecg_hf.corpora.leakage.record_links import id_space, record_name
from anyecg_hf.corpora.signal_feature import ECG_FORMAT
from anyecg_hf.models.anyecg import AnyECGTokenizer
from anyecg_hf.training.configs import DataConfig, SourceConfig

logger = logging.getLogger(__name__)

# What training, tasks and reports ask of a row beside the patches.
_FACTS = (
    *("record_id", "patient_id", "corpus", "age_years", "sex", "weight_kg", "labels", "native_labels", "superclasses"),
    *("annotations", "fold"),
)
# Arguments of `load_corpus` that are no options of a corpus; tasks rely on codes in `labels`.
_OWN_OPTIONS = {"name", "data_dir", "split", "streaming", "num_proc", "labels", "raw", "cache_dir"}
_WINDOWS_A_ROW = 2  # longer records are cut: with some room to draw a window in, and none too large


class LeakError(ValueError):
    """Records to train on are copies of held-out ones, or of the same patients."""


@dataclass
class DataFacts:
    """
    What a run says of its records.

    Attributes:
        rows (`dict[str, int]`): Rows to train on, by source.
        records (`dict[str, int]`): Records they are of.
        validation_rows (`int`): Rows to validate on.
        dropped (`dict[str, int]`): Training records left out, by reason.
        fingerprint (`str` or `None`): SHA-256 over the fingerprints of all training records, whatever their order;
            `None` for a stream.
    """

    rows: dict[str, int] = field(default_factory=dict)
    records: dict[str, int] = field(default_factory=dict)
    validation_rows: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    fingerprint: str | None = None


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
    _check(config)
    window = window_patches(config, tokenizer)
    most_patches = _WINDOWS_A_ROW * window
    # Cut into windows, so that all of a long record is validated on.
    validation = [_cleaned(source, config, tokenizer, window, streaming=False) for source in config.validation]
    held_out = [_cleaned(source, config, tokenizer, None, streaming=False) for source in config.held_out]
    _refuse_shared(validation, held_out, "validation")
    forbidden = _keys_of([*validation, *held_out])
    if config.deduplicate:
        validation = _without_copies(validation)
    train = {
        f"{number}: {source.corpus or source.parquet}": _cleaned(
            source, config, tokenizer, most_patches, streaming=config.streaming
        )
        for number, source in enumerate(config.train, start=1)
    }
    facts = DataFacts(validation_rows=sum(map(len, validation)))
    if config.streaming:
        check = _NotHeldOut(forbidden, config.on_leak)
        train = {name: part.filter(check, input_columns=list(RowKey._fields)) for name, part in train.items()}
    else:
        train = _without_leaks(train, forbidden, config, facts)
    return TrainingRows(
        train=_joined(train, [source.weight for source in config.train]),
        validation=datasets.concatenate_datasets(validation).with_format(ECG_FORMAT) if validation else None,
        facts=facts,
    )


def _check(config: DataConfig) -> None:
    """What can be told before any record is read."""
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


def _cleaned(
    source: SourceConfig, config: DataConfig, tokenizer: AnyECGTokenizer, most_patches: int | None, streaming: bool
) -> datasets.Dataset | datasets.IterableDataset:
    corpus = _records(source, config, streaming)
    cleaned = clean_corpus(corpus, tokenizer, num_proc=config.num_proc, most_patches=most_patches)
    return cleaned.select_columns([*PATCH_FEATURES, *_FACTS])


def _records(source: SourceConfig, config: DataConfig, streaming: bool) -> datasets.Dataset | datasets.IterableDataset:
    """The records of a source as they were read, signals in mV."""
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
        return datasets.concatenate_datasets(list(found.values())) if split is None else found
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


def leak_keys(
    corpus: str, record_id: str, patient_id: str | None, fingerprint: str | None
) -> Iterator[tuple[str, ...]]:
    """
    What two rows have in common if one must not be trained on where the other is evaluated on.

    Args:
        corpus, record_id, patient_id, fingerprint (`str`): Of a row.

    Returns:
        `Iterator[tuple[str, ...]]`: its signal, its record and its patient, as far as they are known.
    """
    yield from copy_keys(corpus, record_id, fingerprint)
    if patient_id is not None:
        yield "patient", id_space(corpus), patient_id


def copy_keys(corpus: str, record_id: str, fingerprint: str | None) -> Iterator[tuple[str, ...]]:
    """What copies of a record have in common; arguments as in [`leak_keys`]."""
    if fingerprint is not None:
        yield "signal", fingerprint
    name = record_name(corpus, record_id)
    if name is not None:
        yield "record", id_space(corpus), name


class RowKey(NamedTuple):
    """What tells records apart."""

    corpus: str
    record_id: str
    patient_id: str | None
    fingerprint: str | None


def _row_keys(rows: datasets.Dataset) -> Iterator[RowKey]:
    columns = rows.select_columns(list(RowKey._fields)).with_format(None)
    yield from map(RowKey, *(columns[name] for name in RowKey._fields))


def _keys_of(parts: Iterable[datasets.Dataset]) -> dict[tuple[str, ...], str]:
    """Key -> one record that has it."""
    return {
        key: f"{row.corpus}/{row.record_id}"
        for part in parts
        for row in dict.fromkeys(_row_keys(part))
        for key in leak_keys(*row)
    }


def _refuse_shared(ours: Sequence[datasets.Dataset], theirs: Sequence[datasets.Dataset], what: str) -> None:
    forbidden = _keys_of(theirs)
    for key, record in _keys_of(ours).items():
        if key in forbidden:
            raise LeakError(
                f"{what} record {record} and held-out record {forbidden[key]} share the same {key[0]}: no figure would"
                " mean anything."
            )


class CopyFinder:
    """Tells copies of records by signal or name; of each, the first one that is asked about is no copy."""

    def __init__(self):
        self._seen: set[tuple[str, ...]] = set()

    def is_copy(self, row: RowKey) -> bool:
        """Whether a record with the same signal or name was asked about before; ask once a record."""
        keys = set(copy_keys(row.corpus, row.record_id, row.fingerprint))
        is_copy = not keys.isdisjoint(self._seen)
        self._seen |= keys
        return is_copy


def _without_copies(parts: Sequence[datasets.Dataset], what: str = "validation") -> list[datasets.Dataset]:
    copies = CopyFinder()
    kept = [_chosen(part, lambda row: not copies.is_copy(row)) for part in parts]
    n_dropped = sum(map(len, parts)) - sum(map(len, kept))
    if n_dropped:
        logger.warning("%d %s rows are left out: copies of another %s record", n_dropped, what, what)
    return kept


def _without_leaks(
    train: Mapping[str, datasets.Dataset],
    forbidden: Mapping[tuple[str, ...], str],
    config: DataConfig,
    facts: DataFacts,
) -> dict[str, datasets.Dataset]:
    kept, dropped, fingerprints = {}, Counter(), set()
    copies = CopyFinder()
    leaks = _leaks(train.values(), forbidden)

    def is_kept(row: RowKey) -> bool:
        if row in leaks:
            _refuse_leak(row, leaks[row], forbidden, config.on_leak)
            dropped[f"same {leaks[row][0]} as a validation or held-out record"] += 1
        elif config.deduplicate and copies.is_copy(row):
            dropped["copy of another training record"] += 1
        else:
            fingerprints.add(row.fingerprint or f"{row.corpus}/{row.record_id}")
            return True
        return False

    for name, part in train.items():
        kept[name] = _chosen(part, is_kept)
        facts.rows[name] = len(kept[name])
        facts.records[name] = len(set(_row_keys(kept[name])))
    if dropped:
        logger.warning("%d training records are left out: %s", dropped.total(), dict(dropped))
    if not fingerprints:
        raise ValueError("there is no record to train on: the sources are empty, or all of their records are left out.")
    facts.dropped = dict(dropped)
    facts.fingerprint = hashlib.sha256("".join(sorted(fingerprints)).encode()).hexdigest()
    return kept


def _leaks(
    parts: Iterable[datasets.Dataset], forbidden: Mapping[tuple[str, ...], str]
) -> dict[RowKey, tuple[str, ...]]:
    """
    Records that must not be trained on -> what they share with one that is held out, or with another leak: a held-out
    copy that does not name its patient leads to its twin, and the twin to the patient's other records.
    """
    rows_of: dict[tuple[str, ...], list[RowKey]] = {}
    found: dict[RowKey, tuple[str, ...]] = {}
    for row in dict.fromkeys(row for part in parts for row in _row_keys(part)):
        for key in leak_keys(*row):
            rows_of.setdefault(key, []).append(row)
            if key in forbidden:
                found.setdefault(row, key)
    waiting = list(found)
    while waiting:
        for key in leak_keys(*waiting.pop()):
            following = [row for row in rows_of.pop(key, ()) if row not in found]
            found.update(dict.fromkeys(following, key))
            waiting += following
    return found


def _chosen(rows: datasets.Dataset, is_kept: Callable[[RowKey], bool]) -> datasets.Dataset:
    """The rows of the records that are kept; asks once a record."""
    keys = list(_row_keys(rows))
    verdicts = {key: is_kept(key) for key in dict.fromkeys(keys)}
    return rows.select([index for index, key in enumerate(keys) if verdicts[key]])


def _refuse_leak(row: RowKey, key: tuple[str, ...], forbidden: Mapping[tuple[str, ...], str], on_leak: str) -> None:
    if on_leak == "refuse" and key in forbidden:
        raise LeakError(
            f"training record {row.corpus}/{row.record_id} and validation or held-out record {forbidden[key]} share the"
            f" same {key[0]}. Leave one of them out, or set `data.on_leak: drop` to train without such records."
        )


@dataclass
class _NotHeldOut:
    """Keeps the rows of a stream that may be trained on."""

    forbidden: Mapping[tuple[str, ...], str]
    on_leak: str
    has_warned: bool = False

    def __call__(self, corpus: str, record_id: str, patient_id: str | None, fingerprint: str | None) -> bool:
        row = RowKey(corpus, record_id, patient_id, fingerprint)
        leak = next((key for key in leak_keys(*row) if key in self.forbidden), None)
        if leak is None:
            return True
        _refuse_leak(row, leak, self.forbidden, self.on_leak)
        if not self.has_warned:
            logger.warning(
                "training records of the stream are left out, the first of them %s/%s: same %s as %s",
                *(corpus, record_id, leak[0], self.forbidden[leak]),
            )
            self.has_warned = True
        return False


def _joined(
    parts: Mapping[str, datasets.Dataset | datasets.IterableDataset], weights: Sequence[float | None]
) -> datasets.Dataset | datasets.IterableDataset:
    if None not in weights:
        return mix_corpora(parts, dict(zip(parts, weights, strict=True)))
    joined = datasets.concatenate_datasets(list(parts.values()))
    return joined if isinstance(joined, datasets.IterableDataset) else joined.with_format(ECG_FORMAT)


__all__ = [
    "CopyFinder",
    "DataFacts",
    "LeakError",
    "RowKey",
    "TrainingRows",
    "copy_keys",
    "leak_keys",
    "load_rows",
    "window_patches",
]
