# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`write_corpus`: a corpus as a folder of Parquet files, which `datasets` loads and the Hub takes as it is."""

import io
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from datasets.utils import tqdm
from filelock import FileLock, Timeout

from ..building import SPLITS, ECGCorpusBuilder
from ..downloads.download_errors import storing
from ..entries import CorpusEntry
from ..errors import CorpusError
from ..files import CorpusFiles
from ..preparation_report import PreparationReport, ReportLine
from .engines import run_tasks
from .shard_plan import ShardPlan, plan_shards, source_sizes
from .shard_rows import FORMS, PARQUET, ROW_GROUP_BYTES, open_writer, row_groups
from .shard_writing import (
    DATA_FOLDER,
    PARTIAL_FOLDER,
    SUMMARY_FOLDER,
    RowCounts,
    ShardSummary,
    ShardTask,
    parquet_path,
    put_text,
    summary_path,
    without_folder,
    write_shard,
)

PLAN_FILE, REPORT_FILE, CARD_FILE, GALLERY_FILE = (
    f"{SUMMARY_FOLDER}/plan.json",
    "report.jsonl",
    "README.md",
    "gallery.png",
)

# Records that are read beforehand, to know how much Parquet the corpus will be.
N_TRIED = 8
_LOCK_FILE = ".lock"
_SHARD_NAME = re.compile(rf"(?:{'|'.join(SPLITS)})-\d{{5}}-of-\d{{5}}")


@dataclass(frozen=True)
class PreparedCorpus:
    """
    A folder that [`write_corpus`] filled.

    Attributes:
        folder (`Path`): The folder.
        plan ([`ShardPlan`]): What was planned.
        shards (`tuple[ShardSummary, ...]`): What is in each file, in the order of the plan.
        report ([`PreparationReport`]): What was left out or odd.
        n_written (`int`): How many of the shards were written; the others were there.
    """

    folder: Path
    plan: ShardPlan
    shards: tuple[ShardSummary, ...]
    report: PreparationReport
    n_written: int = 0

    @cached_property
    def counts(self) -> RowCounts:
        """What is in all rows."""
        return RowCounts.joined([shard.counts for shard in self.shards])

    def counts_of(self, split: str) -> RowCounts:
        """What is in the rows of a split."""
        return RowCounts.joined([shard.counts for shard in self.shards if shard.split == split])

    @property
    def n_bytes(self) -> int:
        """Size of all Parquet files."""
        return sum(shard.n_bytes for shard in self.shards)

    @property
    def parquet_paths(self) -> tuple[Path, ...]:
        """The Parquet files, in the order of the plan."""
        return tuple(parquet_path(self.folder, shard.name) for shard in self.shards)

    @classmethod
    def read(cls, folder: str | os.PathLike) -> "PreparedCorpus":
        """
        Args:
            folder (`str` or `os.PathLike`): A folder that [`write_corpus`] filled.

        Returns:
            [`PreparedCorpus`]

        Raises:
            [`CorpusError`]: if it is none, or not complete.
        """
        folder = Path(folder)
        plan = _read_plan(folder)
        if plan is None:
            raise CorpusError(folder, "a folder that `write_corpus` filled", f"no {PLAN_FILE}")
        shards = [_complete_shard(folder, plan, shard.name) for shard in plan.shards]
        n_missing = shards.count(None)
        if n_missing or not (folder / REPORT_FILE).is_file():
            raise CorpusError(
                folder,
                f"all {len(shards)} shards of its plan and {REPORT_FILE}",
                f"{len(shards) - n_missing} shards" if n_missing else f"no {REPORT_FILE}",
                "Prepare the corpus again: what is finished is kept.",
            )
        return cls(folder, plan, tuple(shards), PreparationReport.read(folder))


def write_corpus(
    builder: ECGCorpusBuilder,
    output: str | os.PathLike,
    *,
    shard_mb: float = 500,
    num_proc: int | None = None,
    engine: str = "local",
    ray_address: str | None = None,
    form: str = "public",
    overwrite: bool = False,
) -> PreparedCorpus:
    """
    Writes a corpus as Parquet files `data/<split>-<number>-of-<count>.parquet`. An interrupted run goes on where it
    ended, and one that is repeated finds all files in their place.

    Args:
        builder ([`ECGCorpusBuilder`]):
            The corpus, from [`corpus_builder`].
        output (`str` or `os.PathLike`):
            Folder to fill; made if need be.
        shard_mb (`float`, *optional*, defaults to 500):
            About how large a file should be, in 10^6 bytes. How much Parquet the corpus will be is estimated from a few
            records of it and the size of its files: see [`plan_shards`].
        num_proc (`int`, *optional*), engine (`str`, *optional*), ray_address (`str`, *optional*):
            Where the work is done, as in [`run_tasks`]. The files are the same, byte by byte.
        form (`str`, *optional*, defaults to `"public"`):
            `"public"`, with `signal` as lists of float32 mV that anyone can read, or `"stored"`, with the
            [`ECGSignal`] that keeps the source bit by bit, for which readers need this package.
        overwrite (`bool`, *optional*, defaults to `False`):
            Whether to replace what another plan (other files, options or versions) has left in the folder.

    Returns:
        [`PreparedCorpus`]

    Raises:
        `ValueError`: if an argument is not one of those above.
        [`CorpusError`]: if the folder holds what another plan made, or other data; if it lies in the corpus; if another
            process is writing into it; if no record can be read.
        [`~anyecg_hf.records.RecordError`]: if the builder is strict and a record cannot be used.
        [`StorageError`]: if the disk refuses.
        [`ShardError`]: if something unforeseen happens; the message names shard and record.

    Example:

    ```python
    >>> from anyecg_hf.corpora import corpus_builder
    >>> from anyecg_hf.corpora.parquet.sharding import write_corpus

    >>> prepared = write_corpus(corpus_builder("ptb-xl", data_dir="ptb-xl"), "ptb-xl-ecg", num_proc=2)
    >>> prepared.counts.n_rows
    21799
    ```
    """
    if form not in FORMS:
        raise ValueError(f"`form` must be one of {', '.join(FORMS)}, got {form!r}.")
    folder = Path(output).absolute()
    files = builder.corpus_files()
    if folder.resolve().is_relative_to(files.root.resolve()):
        raise CorpusError(folder, "a folder outside of the corpus", f"one in {files.root}", "Choose another `output`.")
    entries, lines = builder.entries_of(files)
    plan = plan_shards(
        builder,
        files,
        entries,
        form=form,
        shard_mb=shard_mb,
        parquet_per_source_byte=_parquet_per_source_byte(builder, files, entries, form),
        parquet={**PARQUET, "row_group_bytes": ROW_GROUP_BYTES},
    )
    with _sole_writer(folder):
        _take_folder(folder, plan, overwrite)
        partial = folder / PARTIAL_FOLDER
        found = {shard.name: _complete_shard(folder, plan, shard.name) for shard in plan.shards}
        tasks = [
            ShardTask(builder, files.for_reading(), tuple(some), shard, form, folder, plan.fingerprint, plan.versions)
            for shard, some in zip(plan.shards, plan.divided(entries), strict=True)
            if found[shard.name] is None
        ]
        with tqdm(desc=f"write {plan.corpus}", total=len(found), initial=len(found) - len(tasks), unit="file") as bar:
            written = run_tasks(write_shard, tasks, engine, num_proc, ray_address, lambda summary: bar.update())
        found |= {summary.name: summary for summary in written}
        shards = tuple(found.values())
        own = (without_folder(line, files.root) for line in lines)
        report = PreparationReport(tuple(sorted({*own, *(line for shard in shards for line in shard.lines)})))
        _check_rows(builder, files, shards, report)
        report.write(partial)
        with storing(folder / REPORT_FILE):
            os.replace(partial / REPORT_FILE, folder / REPORT_FILE)
        shutil.rmtree(partial)
    return PreparedCorpus(folder, plan, shards, report, n_written=len(written))


def _parquet_per_source_byte(
    builder: ECGCorpusBuilder, files: CorpusFiles, entries: Sequence[CorpusEntry], form: str
) -> float:
    """Tried on a few records from all over the corpus; 1 if none of them can be read."""
    chosen = [entries[place * len(entries) // N_TRIED] for place in range(min(N_TRIED, len(entries)))]
    sizes = {entry.record_id: size for entry, size in zip(chosen, source_sizes(files, chosen), strict=True)}
    rows = list(builder.rows(chosen, files, []))
    n_source_bytes = sum(sizes[row["record_id"]] for row in rows)
    if not n_source_bytes:
        return 1.0
    return (_n_parquet_bytes(rows, form) - _n_parquet_bytes([], form)) / n_source_bytes


def _n_parquet_bytes(rows: list[dict], form: str) -> int:
    target = io.BytesIO()
    with open_writer(target, form) as writer:
        for table in row_groups(rows, form):
            writer.write_table(table)
    return target.tell()


@contextmanager
def _sole_writer(folder: Path) -> Iterator[None]:
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / _LOCK_FILE)
        try:
            lock.acquire(timeout=0)
        except NotImplementedError:
            pass  # some file systems of clusters have no locks
        except Timeout:
            raise CorpusError(
                folder, "to be the only process that writes here", "another one", "Wait for it."
            ) from None
    try:
        yield
    finally:
        lock.release()


def _take_folder(folder: Path, plan: ShardPlan, overwrite: bool) -> None:
    """Makes the folder ready for the shards of a plan; raises `CorpusError` if it holds something else."""
    data = folder / DATA_FOLDER
    _refuse(data, [path for path in data.glob("*") if not _SHARD_NAME.fullmatch(path.stem)])
    with storing(folder):
        _remove_other_plan(folder, plan, overwrite)
        # `datasets` would load them with the others.
        _refuse(data, {*data.glob("*")} - {parquet_path(folder, shard.name) for shard in plan.shards})
        # What an interrupted run has left.
        shutil.rmtree(folder / PARTIAL_FOLDER, ignore_errors=True)
        for name in (DATA_FOLDER, SUMMARY_FOLDER, PARTIAL_FOLDER):
            (folder / name).mkdir(exist_ok=True)
    put_text(plan.to_json(), folder / PLAN_FILE, folder / PARTIAL_FOLDER)


def _refuse(data: Path, strange: Iterable[Path]) -> None:
    for path in sorted(strange):
        raise CorpusError(data, "shards of one plan only", path.name, "Choose another `output`.")


def _remove_other_plan(folder: Path, plan: ShardPlan, overwrite: bool) -> None:
    try:
        known = _read_plan(folder)
    except CorpusError:
        if not overwrite:
            raise
        known = None
    if known == plan:
        return
    left = [*(folder / DATA_FOLDER).glob("*.parquet"), *(folder / SUMMARY_FOLDER).glob("*.json")]
    if left and not overwrite:
        differing = "no plan" if known is None else f"a plan with other {', '.join(known.differences(plan))}"
        raise CorpusError(
            folder,
            "an empty folder, or one with shards of the same plan",
            f"{len(left)} files of {differing}",
            "Choose another `output`, or pass `overwrite` to replace them.",
        )
    for path in (*left, *(folder / name for name in (REPORT_FILE, CARD_FILE, GALLERY_FILE))):
        path.unlink(missing_ok=True)


def _read_plan(folder: Path) -> ShardPlan | None:
    path = folder / PLAN_FILE
    if not path.is_file():
        return None
    try:
        return ShardPlan.from_json(path.read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError) as error:
        raise CorpusError(path, "a plan of shards", f"{type(error).__name__}: {error}") from error


def _complete_shard(folder: Path, plan: ShardPlan, name: str) -> ShardSummary | None:
    """The summary of a shard, if that is all there and of this plan."""
    try:
        summary = ShardSummary.from_json(summary_path(folder, name).read_text(encoding="utf-8"))
        n_bytes = parquet_path(folder, name).stat().st_size
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return summary if (summary.plan_fingerprint, summary.n_bytes) == (plan.fingerprint, n_bytes) else None


def _check_rows(
    builder: ECGCorpusBuilder, files: CorpusFiles, shards: Sequence[ShardSummary], report: PreparationReport
) -> None:
    skipped: tuple[ReportLine, ...] = report.skipped
    if not any(shard.counts.n_rows for shard in shards):
        first = f", the first of them {skipped[0].path}: {skipped[0].reason.rstrip('.')}" if skipped else ""
        raise CorpusError(files.root, "records that can be read", f"none; {len(skipped)} were left out{first}")
    if skipped and builder.strict:
        raise CorpusError(skipped[0].path, "a record that can be used", skipped[0].reason.rstrip("."))


__all__ = [
    "CARD_FILE",
    "GALLERY_FILE",
    "PLAN_FILE",
    "REPORT_FILE",
    "PreparedCorpus",
    "write_corpus",
]
