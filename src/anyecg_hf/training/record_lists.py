# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Which records a checkpoint has seen: written by every run, read where test records must not be among them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import datasets
import yaml

from anyecg_hf.training.leaks import RowKey, leak_keys, row_keys
from anyecg_hf.training.sources import TrainingRows

RECORDS_FILE = "training_records.parquet"
LISTING_FILE = "training_records.json"  # of a packed checkpoint: names only
# What a run starts from, in its configuration.
_ANCESTORS = ("checkpoint", "tokenizer")


@dataclass
class TrainedRecords:
    """
    Records that a checkpoint has seen.

    Attributes:
        keys (`dict[tuple[str, ...], str]`): What they have ([`leak_keys`]) -> one record that has it.
        n_records (`int`): How many they are.
        unknown (`list[str]`): Checkpoints on the way to this one that do not say what they were trained on.
    """

    keys: dict[tuple[str, ...], str] = field(default_factory=dict)
    n_records: int = 0
    unknown: list[str] = field(default_factory=list)

    def add(self, record: RowKey) -> None:
        """Adds a record."""
        self.n_records += 1
        self.keys.update(dict.fromkeys(leak_keys(*record), f"{record.corpus}/{record.record_id}"))


def write_record_list(data: TrainingRows, folder: Path) -> None:
    """
    Writes the records of a run, those that it selects by included, into its folder, once. A stream's are not known.

    Args:
        data ([`TrainingRows`]): What the run is trained and validated on.
        folder (`Path`): The run folder.
    """
    file = folder / RECORDS_FILE
    if isinstance(data.train, datasets.IterableDataset) or file.exists():
        return
    parts = [data.train] if data.validation is None else [data.train, data.validation]
    records = sorted({key for part in parts for key in row_keys(part)}, key=lambda record: tuple(map(str, record)))
    columns = {name: [getattr(record, name) for record in records] for name in RowKey._fields}
    features = datasets.Features({name: datasets.Value("string") for name in RowKey._fields})
    datasets.Dataset.from_dict(columns, features=features).to_parquet(file)


def trained_records(checkpoint: str | Path) -> TrainedRecords:
    """
    The records that a checkpoint, and those that it was made from, were trained or selected on.

    Args:
        checkpoint (`str` or `Path`): `final` or `best` of a run, or a packed checkpoint.

    Returns:
        [`TrainedRecords`]: `unknown` names what is on the Hub, was trained on a stream, or does not say.
    """
    found = TrainedRecords()
    for folder in run_lineage(Path(checkpoint)):
        for record in _records_of(folder, found):
            found.add(record)
    return found


def run_lineage(checkpoint: Path) -> Iterator[Path]:
    """Yields a checkpoint and those that it was made from, as far as run folders tell; the last may be Hub names."""
    yield checkpoint
    config = checkpoint.parent / "config.yaml"
    if config.is_file():
        settings = yaml.safe_load(config.read_text())
        for name in _ANCESTORS:
            # The tokenizer's own settings in stage 1, a path later.
            if isinstance(settings.get(name), str):
                yield from run_lineage(Path(settings[name]))


def _records_of(checkpoint: Path, found: TrainedRecords) -> Iterator[RowKey]:
    if (checkpoint / LISTING_FILE).is_file():
        stages = json.loads((checkpoint / LISTING_FILE).read_text())
        for by_corpus in stages.values():
            for corpus, names in by_corpus.items():
                yield from (RowKey(corpus, name, None, None) for name in names)
    elif (checkpoint.parent / RECORDS_FILE).is_file():
        yield from row_keys(datasets.Dataset.from_parquet(str(checkpoint.parent / RECORDS_FILE)))
    else:
        found.unknown.append(str(checkpoint))


__all__ = ["LISTING_FILE", "RECORDS_FILE", "TrainedRecords", "run_lineage", "trained_records", "write_record_list"]
