# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Cleaned patches of a corpus, computed once and kept."""

import inspect
import logging
import warnings
from collections import Counter
from typing import Any

import datasets
from datasets import Value

from ..models.anyecg.tokenization_anyecg import AnyECGTokenizer
from ..models.anyecg.windowing_anyecg import window_spans
from ..records import ECGRecord
from ..version import __version__
from .array_feature import BinaryArray
from .building import rows_at_once
from .leakage.fingerprints import signal_fingerprint
from .schema import check_one_split
from .signal_feature import ECG_FORMAT, ECGSignal

logger = logging.getLogger(__name__)

# What a model takes; the other columns of a corpus stay beside it, without the signal.
PATCH_FEATURES = {
    "input_values": BinaryArray("float16"),
    "attention_mask": BinaryArray("bool"),
    "lead_ids": BinaryArray("int16"),
    "scale": Value("float32"),
    "n_leads": Value("int32"),
    "n_patches": Value("int32"),
    "first_patch": Value("int32"),
    "fingerprint": Value("string"),
}
_REFUSED = "refused"


def record_of(example: dict[str, Any]) -> ECGRecord:
    """
    Makes a record of a row.

    Args:
        example (`dict`): A row of a corpus in the one schema, `signal` in mV.

    Returns:
        [`~anyecg_hf.records.ECGRecord`]: with the patient, SNOMED CT labels and identifiers of the row.
    """
    return ECGRecord(
        signal_mv=example["signal"],
        sampling_rate=example["sampling_rate"],
        lead_names=tuple(example["lead_names"]),
        record_id=example["record_id"],
        patient_id=example["patient_id"],
        age_years=example["age_years"],
        sex=example["sex"],
        weight_kg=example["weight_kg"],
        height_cm=example["height_cm"],
        labels=tuple(example["labels"]),
        source=f"{example['corpus']}/{example['record_id']}",
    )


def clean_corpus(
    dataset: datasets.Dataset | datasets.IterableDataset,
    tokenizer: AnyECGTokenizer,
    num_proc: int | None = None,
    most_patches: int | None = None,
) -> datasets.Dataset | datasets.IterableDataset:
    """
    Cleans every record of a corpus into model input. For a `datasets.Dataset` the result is kept in its cache: a second
    call with the same records and the same settings of the tokenizer reads it.

    Records that cannot be cleaned, or have no usable lead, are left out and counted in a warning.

    Args:
        dataset (`datasets.Dataset` or `datasets.IterableDataset`):
            A corpus ([`load_corpus`]).
        tokenizer ([`AnyECGTokenizer`]):
            How to clean.
        num_proc (`int`, *optional*):
            Processes that clean a `datasets.Dataset`.
        most_patches (`int`, *optional*):
            Longer records are cleaned as a whole and then cut evenly into rows of at most so many patches, so that no
            row is too large to be held beside others.

    Returns:
        The same kind of dataset, with `input_values` `(L, N, S)` float16 in recording scale, `attention_mask` `(L, N)`
        bool, `lead_ids` `(L,)` int16, `scale` in mV, `n_leads`, `n_patches`, `first_patch`, the place of the row in its
        record, and `fingerprint`, that of the record's signal ([`signal_fingerprint`]), in place of `signal`.

    Raises:
        `ValueError`: if this is a dictionary of splits, or a stream that does not know its columns.

    Example:

    ```python
    >>> cleaned = clean_corpus(load_corpus("georgia", split="train"), AnyECGTokenizer(), num_proc=2)
    >>> batch = PatchCollator()([cleaned[0], cleaned[1]])
    ```
    """
    check_one_split(dataset)
    if dataset.features is None:
        raise ValueError("the stream does not know its columns: pass `features` to its `map`, or clean it before.")
    if most_patches is not None and most_patches < 1:
        raise ValueError(f"`most_patches` must be at least 1, got {most_patches}.")
    dataset = _in_millivolts(dataset)
    columns = {name: feature for name, feature in dataset.features.items() if name != "signal"}
    with_refusals = datasets.Features({**columns, **PATCH_FEATURES, _REFUSED: Value("string")})
    clean = _Clean(tokenizer, most_patches)
    # Of one record several rows can come: what `datasets` calls a batch.
    one_by_one = {"batched": True, "batch_size": 1, "remove_columns": dataset.column_names, "features": with_refusals}
    if isinstance(dataset, datasets.IterableDataset):
        cleaned = dataset.map(clean, **one_by_one)
        return cleaned.filter(_is_usable).remove_columns(_REFUSED)
    cleaned = dataset.map(
        clean,
        **one_by_one,
        num_proc=num_proc,
        writer_batch_size=min(64, rows_at_once(dataset.data.nbytes / max(dataset.data.num_rows, 1))),
        desc="clean",
    ).with_format(ECG_FORMAT)
    refusals = Counter(reason for reason in cleaned.data.column(_REFUSED).to_pylist() if reason)
    if refusals:
        logger.warning("%d records cannot be cleaned and are left out: %s", refusals.total(), dict(refusals))
        cleaned = cleaned.filter(_is_none, input_columns=_REFUSED)
    return cleaned.remove_columns(_REFUSED)


def _in_millivolts(
    dataset: datasets.Dataset | datasets.IterableDataset,
) -> datasets.Dataset | datasets.IterableDataset:
    """The dataset as [`record_of`] takes its rows, however the caller wants to see them."""
    if dataset.features.get("signal") == ECGSignal(decode=False):
        dataset = dataset.cast_column("signal", ECGSignal())
    if isinstance(dataset, datasets.IterableDataset):
        return dataset.with_format(None)
    return dataset if dataset.format["type"] == ECG_FORMAT else dataset.with_format(ECG_FORMAT)


class _Clean:
    """Cleans a row. A class, so that `datasets` can tell by its state what a cached result was computed with."""

    def __init__(self, tokenizer: AnyECGTokenizer, most_patches: int | None):
        self.tokenizer = tokenizer
        self.most_patches = most_patches

    def __getstate__(self) -> dict[str, Any]:
        # Only what the numbers depend on: a tokenizer has other fields once it was loaded from a checkpoint.
        kind = type(self.tokenizer)
        parameters = inspect.signature(kind).parameters.values()
        names = [parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD]
        settings = {name: getattr(self.tokenizer, name) for name in names}
        return {"kind": kind, "settings": settings, "most_patches": self.most_patches, "version": __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.tokenizer = state["kind"](**state["settings"])
        self.most_patches = state["most_patches"]

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        example = {name: values[0] for name, values in batch.items()}
        kept = {name: value for name, value in example.items() if name != "signal"}
        rows = [{**kept, **part} for part in self._parts(example)]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def _parts(self, example: dict[str, Any]) -> list[dict[str, Any]]:
        """The columns of every row that comes of a record, or of the one row that says why there is none."""
        try:
            record = record_of(example)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # odd leads are masked
                cleaned = self.tokenizer.clean(record)
        except ValueError as error:
            return [dict.fromkeys(PATCH_FEATURES) | {_REFUSED: str(error)}]
        if not cleaned.patch_mask.any():
            return [dict.fromkeys(PATCH_FEATURES) | {_REFUSED: "no usable lead"}]
        feature = self.tokenizer.feature(cleaned)
        facts = {
            "lead_ids": PATCH_FEATURES["lead_ids"].encode_example(feature["lead_ids"]),
            "scale": float(feature["scale"]),
            "n_leads": len(feature["lead_ids"]),
            "fingerprint": signal_fingerprint(record.signal_mv, record.lead_names),
            _REFUSED: None,
        }
        n_patches = cleaned.patch_mask.shape[1]
        return [
            {
                **facts,
                "input_values": PATCH_FEATURES["input_values"].encode_example(feature["input_values"][:, span]),
                "attention_mask": PATCH_FEATURES["attention_mask"].encode_example(cleaned.patch_mask[:, span]),
                "n_patches": span.stop - span.start,
                "first_patch": span.start,
            }
            for span in window_spans(n_patches, self.most_patches or n_patches)
        ]


def _is_usable(example: dict[str, Any]) -> bool:
    return _is_none(example[_REFUSED])


def _is_none(value: str | None) -> bool:
    return value is None


__all__ = ["PATCH_FEATURES", "clean_corpus", "record_of"]
