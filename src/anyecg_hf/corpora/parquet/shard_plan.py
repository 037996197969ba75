# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`ShardPlan`: which records of a corpus go into which Parquet file, decided before any is written."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

from ...environment import installed_versions
from ...records.addresses import parse_address
from ..building import SPLITS, ECGCorpusBuilder
from ..entries import CorpusEntry
from ..files import CorpusFiles
from ..label_tables import LABEL_TABLES_VERSION
from ..schema import SCHEMA_VERSION

# Libraries that decide about the bytes of a shard: those that read records and those that write Parquet.
LIBRARIES = ("anyecg-hf", "datasets", "h5py", "numpy", "pyarrow", "pydicom", "pyedflib", "scipy", "wfdb")

# Options that say where a corpus lies, not what is in it; what lies there is in the fingerprint of the corpus.
_PLACES = {"name", "version", "data_dir", "data_files", "description", "base_url"}


@dataclass(frozen=True)
class PlannedShard:
    """
    One Parquet file to be.

    Attributes:
        name (`str`): `<split>-<number>-of-<count>`, which the Hub takes for a part of the split.
        split (`str`): `"train"`, `"validation"` or `"test"`.
        n_entries (`int`): Records that are to be read for it.
        n_source_bytes (`int`): Size of their files.
        entries_sha256 (`str`): Of what the corpus's lists say about them.
    """

    name: str
    split: str
    n_entries: int
    n_source_bytes: int
    entries_sha256: str


@dataclass(frozen=True)
class ShardPlan:
    """
    How a corpus becomes Parquet files. Two plans with the same fingerprint give the same files, byte by byte.

    Attributes:
        corpus (`str`): Name of the corpus.
        corpus_fingerprint (`str`): Changes with the files of the corpus.
        options (`dict[str, Any]`): Options of its builder that decide what is in the rows.
        form (`str`): `"public"` or `"stored"`.
        schema_version (`str`), label_tables_version (`str`): Of the columns and of the mapping to SNOMED CT.
        parquet (`dict[str, Any]`): Settings of the Parquet writer.
        versions (`dict[str, str]`): Versions of `LIBRARIES`, of those that are installed.
        shard_mb (`float`): How large a file should be, in 10^6 bytes.
        parquet_per_source_byte (`float`): Bytes of Parquet that a byte of the source is expected to give.
        shards (`tuple[PlannedShard, ...]`): Split by split, in the order of the corpus.
    """

    corpus: str
    corpus_fingerprint: str
    options: dict[str, Any]
    form: str
    schema_version: str
    label_tables_version: str
    parquet: dict[str, Any]
    versions: dict[str, str]
    shard_mb: float
    parquet_per_source_byte: float
    shards: tuple[PlannedShard, ...]

    @cached_property
    def fingerprint(self) -> str:
        """Changes with anything in the plan."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits that have a shard, in their usual order."""
        return tuple(dict.fromkeys(shard.split for shard in self.shards))

    def to_json(self) -> str:
        """The plan as JSON."""
        return json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "ShardPlan":
        """The plan that [`to_json`] wrote; `ValueError` or `TypeError` if it is none."""
        values = json.loads(text)
        return cls(**{**values, "shards": tuple(PlannedShard(**shard) for shard in values["shards"])})

    def divided(self, entries: Sequence[CorpusEntry]) -> list[Sequence[CorpusEntry]]:
        """
        Args:
            entries (`Sequence[CorpusEntry]`): The records that the plan was made for.

        Returns:
            `list[Sequence[CorpusEntry]]`: those of each shard.
        """
        of_split = {split: iter([entry for entry in entries if entry.split == split]) for split in self.splits}
        return [list(islice(of_split[shard.split], shard.n_entries)) for shard in self.shards]

    def differences(self, other: "ShardPlan") -> list[str]:
        """Names of what differs between two plans."""
        return [name for name, value in asdict(self).items() if value != asdict(other)[name]]


def plan_shards(
    builder: ECGCorpusBuilder,
    files: CorpusFiles,
    entries: Sequence[CorpusEntry],
    *,
    form: str,
    shard_mb: float,
    parquet_per_source_byte: float,
    parquet: dict[str, Any],
) -> ShardPlan:
    """
    Divides the records of each split, in the order of the corpus, into `ceil(source bytes of the split x
    parquet_per_source_byte / shard_mb)` runs of about the same number of source bytes.

    The source bytes of a record are the sizes of its files; of a file that holds several records each has an equal
    part. A record is never divided, so that there are fewer runs where records are larger than a run.

    Args:
        builder ([`ECGCorpusBuilder`]):
            The corpus.
        files ([`CorpusFiles`]):
            Its files, all of them here.
        entries (`Sequence[CorpusEntry]`):
            Its records.
        form (`str`), shard_mb (`float`), parquet_per_source_byte (`float`), parquet (`dict[str, Any]`):
            As in [`ShardPlan`].

    Returns:
        [`ShardPlan`]

    Raises:
        `ValueError`: if `shard_mb` is not positive.
    """
    if not shard_mb > 0:
        raise ValueError(f"`shard_mb` must be a positive number of megabytes, got {shard_mb}.")
    sizes = source_sizes(files, entries)
    shards = []
    for split in SPLITS:
        chosen = [number for number, entry in enumerate(entries) if entry.split == split]
        n_bytes = [sizes[number] for number in chosen]
        runs = divide(n_bytes, math.ceil(sum(n_bytes) * parquet_per_source_byte / (shard_mb * 1e6)))
        for number, run in enumerate(runs):
            shards.append(
                PlannedShard(
                    name=f"{split}-{number:05d}-of-{len(runs):05d}",
                    split=split,
                    n_entries=len(run),
                    n_source_bytes=round(sum(n_bytes[place] for place in run)),
                    entries_sha256=_digest(entries[chosen[place]] for place in run),
                )
            )
    return ShardPlan(
        corpus=builder.description.name,
        corpus_fingerprint=hashlib.sha256(f"{files.fingerprint} {builder.hash}".encode()).hexdigest(),
        options=builder_options(builder),
        form=form,
        schema_version=SCHEMA_VERSION,
        label_tables_version=LABEL_TABLES_VERSION,
        parquet=parquet,
        versions=installed_versions(LIBRARIES),
        shard_mb=shard_mb,
        parquet_per_source_byte=parquet_per_source_byte,
        shards=tuple(shards),
    )


def divide(sizes: Sequence[float], n_runs: int) -> list[range]:
    """
    Divides a sequence into runs of about the same size: each item goes where its middle lies.

    Args:
        sizes (`Sequence[float]`): Size of every item.
        n_runs (`int`): How many runs there should be.

    Returns:
        `list[range]`: places of the items of each run; none is empty.
    """
    if not sizes:
        return []
    ends = list(accumulate(sizes))
    if ends[-1] == 0 or n_runs < 2:
        return [range(len(sizes))]
    runs = [min(n_runs - 1, int((end - size / 2) * n_runs / ends[-1])) for end, size in zip(ends, sizes, strict=True)]
    starts = [place for place, run in enumerate(runs) if place == 0 or run != runs[place - 1]]
    return [range(start, end) for start, end in zip(starts, [*starts[1:], len(sizes)], strict=True)]


def source_sizes(files: CorpusFiles, entries: Sequence[CorpusEntry]) -> list[float]:
    """
    Args:
        files ([`CorpusFiles`]): The files of a corpus.
        entries (`Sequence[CorpusEntry]`): Records of it.

    Returns:
        `list[float]`: the bytes of its files that belong to each record; 0 where there are none.
    """
    owners = [_paths_of(files, entry) for entry in entries]
    n_sharing = Counter(owners)
    n_bytes = {paths: sum(path.stat().st_size for path in paths) for paths in n_sharing}
    return [n_bytes[paths] / n_sharing[paths] for paths in owners]


def _paths_of(files: CorpusFiles, entry: CorpusEntry) -> tuple[Path, ...]:
    path = parse_address(files.root / entry.path).file
    if path.is_file():
        return (path,)
    return tuple(files.root / part for part in files.by_stem.get(entry.path, ()))


def builder_options(builder: ECGCorpusBuilder) -> dict[str, Any]:
    """Options of a builder that decide what is in its rows, files by their name only."""
    found = {name: value for name, value in vars(builder.config).items() if name not in _PLACES}
    for name in builder.file_options:
        found[name] = None if found[name] is None else Path(found[name]).name
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def _digest(entries: Iterable[CorpusEntry]) -> str:
    digest = hashlib.sha256()
    for entry in entries:
        digest.update(f"{entry!r}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


__all__ = [
    "LIBRARIES",
    "PlannedShard",
    "ShardPlan",
    "builder_options",
    "divide",
    "plan_shards",
    "source_sizes",
]
