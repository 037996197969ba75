# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`load_corpus`: a public corpus as a `datasets` dataset."""

import logging
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import datasets

from ..models.anyecg.signal_anyecg import canonical_lead_name
from .building import ECGCorpusBuilder, PreparationStopped
from .catalogue import CORPORA
from .errors import CorpusError
from .label_tables import is_snomed_code
from .signal_feature import ECG_FORMAT, ECGSignal

logger = logging.getLogger(__name__)

LABEL_KINDS = {"snomed": "labels", "native": "native_labels", "superclass": "superclasses"}

AnyDataset = datasets.Dataset | datasets.IterableDataset


def load_corpus(
    name: str,
    data_dir: str | os.PathLike | None = None,
    split: str | None = None,
    streaming: bool = False,
    num_proc: int | None = None,
    leads: Sequence[str] | None = None,
    labels: str = "snomed",
    raw: bool = False,
    strict: bool = False,
    cache_dir: str | os.PathLike | None = None,
    base_url: str | None = None,
    **options: Any,
) -> AnyDataset | datasets.DatasetDict | datasets.IterableDatasetDict:
    """
    Loads a corpus in the one schema of all corpora ([`corpora.schema.features`]).

    Args:
        name (`str`):
            Name of the corpus, one of `CORPORA`.
        data_dir (`str` or `os.PathLike`, *optional*):
            Its root, or any folder that holds its records. Without it, the corpus is downloaded from its official site.
        split (`str`, *optional*):
            `"train"`, `"validation"`, `"test"`, or unless `streaming` a slice or sum such as `"train[:10%]+test"`; by
            default all splits by name.
            Corpora without official folds have the one split `train`: see [`split_by_patient`].
        streaming (`bool`, *optional*, defaults to `False`):
            Whether to read records when they are asked for, rather than to prepare them in a cache first.
        num_proc (`int`, *optional*):
            Processes that prepare the cache.
        leads (`Sequence[str]`, *optional*):
            Leads to keep, in this order. Records that lack one of them are left out.
        labels (`str`, *optional*, defaults to `"snomed"`):
            What the column `labels` holds: `"snomed"` for SNOMED CT codes, `"native"` for the corpus's own labels, or
            `"superclass"` for the five superclasses of PTB-XL.
        raw (`bool`, *optional*, defaults to `False`):
            Whether `signal` is the stored form, bit by bit as in the source (see [`ECGSignal`]), in place of float32 mV
            `(leads, samples)`.
        strict (`bool`, *optional*, defaults to `False`):
            Whether a record that cannot be used is an error. Otherwise it is left out, counted in a warning and listed
            with the reason in the `report` of the builder ([`corpus_builder`]).
        cache_dir (`str` or `os.PathLike`, *optional*):
            Where prepared and downloaded files are kept; by default the cache of `datasets`.
        base_url (`str`, *optional*):
            Where to download from, in place of the official site.
        **options:
            Options of the corpus, for example `sampling_rate=100` for PTB-XL's second rate.

    Returns:
        `datasets.Dataset`, or `datasets.IterableDataset` if `streaming`; a dictionary of them without `split`.

    Raises:
        `ValueError`: if the corpus, an option or a lead is unknown.
        [`CorpusError`]: if the folder does not hold the corpus, or no record of it can be read.
        [`~anyecg_hf.records.RecordError`]: if `strict` and a record cannot be used.
        [`DownloadError`]: if a file cannot be downloaded.

    Example:

    ```python
    >>> ptb_xl = load_corpus("ptb-xl", data_dir="ptb-xl", labels="superclass")
    >>> example = ptb_xl["train"][0]
    >>> example["signal"].shape, example["labels"]
    ((12, 5000), ['NORM'])
    ```
    """
    if labels not in LABEL_KINDS:
        raise ValueError(f"`labels` must be one of {', '.join(LABEL_KINDS)}, got {labels!r}.")
    if isinstance(split, (list, tuple)):
        raise ValueError(f"`split` must be one split, got {split!r}. Without it, a dictionary holds every split.")
    builder = corpus_builder(name, data_dir, leads, strict, cache_dir, base_url, **options)
    if labels == "superclass" and builder.description.label_system != "scp":
        raise ValueError(f"{name} has no superclasses: they are PTB-XL's. Use labels='snomed' or labels='native'.")
    if streaming:
        found = builder.as_streaming_dataset(split=split)
    else:
        _prepare(builder, num_proc)
        found = builder.as_dataset(split=split)
    if isinstance(found, dict):
        return type(found)({key: _present(dataset, labels, raw) for key, dataset in found.items()})
    return _present(found, labels, raw)


def corpus_builder(
    name: str,
    data_dir: str | os.PathLike | None = None,
    leads: Sequence[str] | None = None,
    strict: bool = False,
    cache_dir: str | os.PathLike | None = None,
    base_url: str | None = None,
    **options: Any,
) -> ECGCorpusBuilder:
    """
    The `datasets` builder of a corpus. [`load_corpus`] uses it; by itself it gives the `report` of what was left out.

    Args:
        name (`str`), data_dir (`str` or `os.PathLike`, *optional*), leads (`Sequence[str]`, *optional*),
        strict (`bool`, *optional*), cache_dir (`str` or `os.PathLike`, *optional*), base_url (`str`, *optional*):
            As in [`load_corpus`].
        **options:
            Options of the corpus.

    Returns:
        [`ECGCorpusBuilder`]

    Raises:
        `ValueError`: if the corpus, an option or a lead is unknown.
    """
    if name not in CORPORA:
        raise ValueError(f"`name` must be one of the corpora {', '.join(CORPORA)}, got {name!r}.")
    builder_class = CORPORA[name]
    known = set(builder_class.BUILDER_CONFIG_CLASS.__dataclass_fields__) - {
        "name",
        "version",
        "data_dir",
        "data_files",
        "description",
        "base_url",
        "leads",
    }
    unknown = sorted(set(options) - known)
    if unknown:
        raise ValueError(
            f"{name} has no option {', '.join(map(repr, unknown))}; it has {', '.join(sorted(known)) or 'none'}."
        )
    if leads is not None:
        options["leads"] = _known_leads(leads)
    if base_url is not None:
        options["base_url"] = base_url
    return builder_class(
        cache_dir=None if cache_dir is None else os.fspath(cache_dir),
        data_dir=None if data_dir is None else os.fspath(data_dir),
        strict=strict,
        **options,
    )


def _known_leads(leads: Sequence[str]) -> tuple[str, ...]:
    if isinstance(leads, str) or not leads:
        raise ValueError(f"`leads` must be a sequence of lead names such as ['I', 'II', 'V1'], got {leads!r}.")
    names = tuple(canonical_lead_name(lead) for lead in leads)
    if None in names or len(set(names)) < len(names):
        raise ValueError(f"`leads` must name leads of the lead vocabulary, each once, got {list(leads)}.")
    return names


def _prepare(builder: ECGCorpusBuilder, num_proc: int | None) -> None:
    try:
        builder.download_and_prepare(num_proc=num_proc)
    except PreparationStopped as error:
        raise error.args[0] from None
    skipped = builder.report.skipped
    if skipped and builder.strict:
        raise CorpusError(skipped[0].path, "a record that can be used", skipped[0].reason.rstrip("."))
    for line in builder.report.noted:
        if not line.record_id:
            logger.warning("%s: %s", builder.description.name, line.reason)
    if skipped:
        logger.warning(
            "%s: %d records were left out, the first of them %s (%s). `corpus_builder(...).report` lists them all.",
            builder.description.name,
            len(skipped),
            skipped[0].record_id,
            skipped[0].reason,
        )


def _present(dataset: AnyDataset, labels: str, raw: bool) -> AnyDataset:
    """The dataset as the caller wants to see it; nothing that is stored is changed."""
    chosen = LABEL_KINDS[labels]
    if isinstance(dataset, datasets.IterableDataset):
        # A stream gives a function rows as they look: decoded, a signal would not come out as it was stored.
        dataset = dataset.cast_column("signal", ECGSignal(decode=False))
        if chosen != "labels":
            dataset = dataset.map(partial(_labels_from, column=chosen), features=dataset.features)
        return dataset if raw else dataset.cast_column("signal", ECGSignal())
    if chosen == "superclasses":
        _check_superclasses(next(filter(None, dataset["native_labels"]), []))
    if chosen != "labels":
        labels_only = dataset.select_columns(chosen).rename_column(chosen, "labels")
        columns = dataset.column_names
        dataset = datasets.concatenate_datasets([dataset.remove_columns("labels"), labels_only], axis=1)
        dataset = dataset.select_columns(columns)
    if raw:
        dataset = dataset.cast_column("signal", ECGSignal(decode=False))
    return dataset.with_format(ECG_FORMAT)


def _labels_from(example: dict[str, Any], column: str) -> dict[str, Any]:
    if column == "superclasses":
        _check_superclasses(example["native_labels"])
    return {"labels": example[column]}


def _check_superclasses(native_labels: Sequence[str]) -> None:
    """PTB-XL's records have SCP codes, or without its table the SNOMED CT codes of the challenge's headers."""
    if native_labels and all(map(is_snomed_code, native_labels)):
        raise ValueError("these copies of PTB-XL's records have no superclasses: put ptbxl_database.csv beside them.")


__all__ = ["LABEL_KINDS", "corpus_builder", "load_corpus"]
