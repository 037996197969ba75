# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`ECGCorpusBuilder`: the `datasets` builder under every corpus."""

import hashlib
import logging
import os
import warnings
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import datasets
import numpy as np
from datasets.exceptions import DatasetGenerationError

from ..models.anyecg.lead_quality_anyecg import USUAL_LEAD_RANGE_MV
from ..records import RecordSource, StoredSignal, open_record
from .description import CorpusDescription
from .downloads.downloading import Downloader
from .downloads.remote_listings import RemoteListing
from .entries import CorpusEntry, CorpusRecord
from .errors import CorpusError
from .files import CorpusFiles
from .label_tables import LABEL_TABLES_VERSION
from .preparation_report import NOTED, SKIPPED, PreparationReport, ReportLine, append_line, join_parts
from .schema import SCHEMA_VERSION, features, to_row, unknown_labels

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
# What rows that wait for being written may take, in bytes of the source.
_WAITING_BYTES = 64 << 20


@dataclass
class CorpusConfig(datasets.BuilderConfig):
    """
    Options of a builder.

    Args:
        leads (`tuple[str, ...]`, *optional*):
            Leads to keep, in this order. Records that lack one of them are left out. By default every lead of a record.
        base_url (`str`, *optional*):
            Where to download from, in place of the official site.
    """

    leads: tuple[str, ...] | None = None
    base_url: str | None = None


class PreparationStopped(DatasetGenerationError):
    """Carries what stopped a preparation, its one argument, out of a worker process: a cause is dropped on the way."""


class ECGCorpusBuilder(datasets.GeneratorBasedBuilder):
    """
    Base of the builders. A corpus defines `description`, `list_entries`, where it can be downloaded `remote_listing`,
    and where its records are not files that [`~anyecg_hf.records.open_record`] reads, `read`.

    Args:
        cache_dir (`str`, *optional*):
            Where prepared and downloaded files are kept; by default the cache of `datasets`.
        data_dir (`str`, *optional*):
            Folder of the corpus. Without it, it is downloaded.
        strict (`bool`, *optional*, defaults to `False`):
            Whether a record that cannot be used is an error. Otherwise it is left out and listed in `report`.
        **config_kwargs:
            Fields of `BUILDER_CONFIG_CLASS`, and what `datasets.DatasetBuilder` takes.
    """

    BUILDER_CONFIG_CLASS = CorpusConfig
    VERSION = datasets.Version("1.0.0")
    DEFAULT_WRITER_BATCH_SIZE = 64  # fewer where records are long

    description: ClassVar[CorpusDescription]
    # Whether the records' annotations belong to the corpus's labels.
    has_annotations: ClassVar[bool] = False
    # Whether a native label that is in no table is worth a note.
    has_closed_vocabulary: ClassVar[bool] = True
    # Whether it is downloaded in archives, so that records cannot be fetched one by one.
    has_archives: ClassVar[bool] = False
    # Tables that may lie up to two folders above `data_dir`, where this is a part of the corpus.
    tables: ClassVar[tuple[str, ...]] = ()
    # Options that name a file beside the corpus.
    file_options: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, cache_dir: str | None = None, data_dir: str | None = None, strict: bool = False, **config_kwargs
    ):
        self.strict = strict
        self._logged: set[ReportLine] = set()
        folder = None if data_dir is None else Path(data_dir).expanduser().absolute()
        if folder is not None and cache_dir is not None:
            # What is prepared there would count as a changed file of the corpus.
            if Path(cache_dir).expanduser().resolve().is_relative_to(folder.resolve()):
                raise ValueError(f"`cache_dir` must not lie within `data_dir` ({data_dir}), got {cache_dir}.")
        source = "downloaded" if folder is None else CorpusFiles.of_folder(folder, self.tables).fingerprint
        beside = {
            name: os.path.expanduser(config_kwargs[name]) for name in self.file_options if config_kwargs.get(name)
        }
        config_kwargs |= beside
        versions = (SCHEMA_VERSION, LABEL_TABLES_VERSION, source, *(_file_state(*item) for item in beside.items()))
        config_kwargs.setdefault("hash", hashlib.sha256("\n".join(versions).encode()).hexdigest()[:16])
        config_kwargs.setdefault("dataset_name", f"anyecg-{self.description.name}")
        super().__init__(
            cache_dir=cache_dir,
            data_dir=None if folder is None else str(folder),
            **config_kwargs,
        )

    @abstractmethod
    def list_entries(self, files: CorpusFiles) -> Iterator[CorpusEntry | ReportLine]:
        """
        Lists the records.

        Args:
            files ([`CorpusFiles`]): The files of the corpus. Only lists and tables should be opened here.

        Returns:
            `Iterator[CorpusEntry | ReportLine]`: records in a fixed order, and lines for the report, on
            records that are left out or, with an empty record id, on the corpus.

        Raises:
            [`CorpusError`]: if these are not files of this corpus.
        """

    def remote_listing(self) -> RemoteListing | None:
        """Where the corpus can be downloaded, `None` if nowhere."""
        return None

    def unpack(self, root: Path) -> None:
        """Unpacks downloaded archives; for corpora that come in such."""

    def open_source(self, entry: CorpusEntry, files: CorpusFiles) -> RecordSource:
        """Opens the file of one record; for corpora whose files leave something open that [`open_record`] must know."""
        return open_record(files.local_record(entry.path))

    def read(self, entry: CorpusEntry, files: CorpusFiles) -> CorpusRecord:
        """
        Reads one record.

        Args:
            entry ([`CorpusEntry`]): One of `list_entries`.
            files ([`CorpusFiles`]): The files of the corpus.

        Returns:
            [`CorpusRecord`]

        Raises:
            [`~anyecg_hf.records.RecordError`]: if it cannot be read.
        """
        with self.open_source(entry, files) as source:
            return CorpusRecord(
                signal=source.read_stored(0, source.n_samples),
                sampling_rate=source.sampling_rate,
                lead_names=source.lead_names,
                facts=source.facts,
                annotations=(source.read_annotations() or ()) if self.has_annotations else (),
            )

    def rows(
        self, entries: Iterable[CorpusEntry], files: CorpusFiles, lines: list[ReportLine]
    ) -> Iterator[dict[str, Any]]:
        """
        Reads records into rows of the schema.

        Args:
            entries (`Iterable[CorpusEntry]`): What to read.
            files ([`CorpusFiles`]): The files of the corpus.
            lines (`list[ReportLine]`): Takes a line for every record that is left out or odd.

        Returns:
            `Iterator[dict[str, Any]]`

        Raises:
            [`~anyecg_hf.records.RecordError`]: if a record cannot be used, and the builder is strict.
        """
        for entry in entries:
            try:
                record = self._read_noting(entry, files)
                row = to_row(self.description, entry, record)
                unknown = unknown_labels(self.description, entry, record) if self.has_closed_vocabulary else ()
                notes = [*record.notes, *_label_notes(unknown)]
            except ValueError as error:
                if self.strict:
                    raise
                lines.append(ReportLine(entry.record_id, entry.path, SKIPPED, _below(files.root, str(error))))
                continue
            reasons = dict.fromkeys(_below(files.root, note) for note in notes)
            lines += [ReportLine(entry.record_id, entry.path, NOTED, reason) for reason in reasons]
            yield row

    def _read_noting(self, entry: CorpusEntry, files: CorpusFiles) -> CorpusRecord:
        """Reads a record; warnings become notes."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            record = self.read(entry, files)
        if self.config.leads is not None:
            record = _with_leads(record, tuple(self.config.leads), entry)
        notes = [str(warning.message) for warning in caught]
        return replace(record, notes=(*record.notes, *notes, *_amplitude_notes(record.signal)))

    def corpus_files(self, fetch: bool = True) -> CorpusFiles:
        """
        The files of the corpus.

        Args:
            fetch (`bool`, *optional*, defaults to `True`):
                Whether to download at once what has to be downloaded. Otherwise records are fetched one by one as they
                are read, unless the corpus comes in archives.

        Returns:
            [`CorpusFiles`]

        Raises:
            [`CorpusError`]: if there is no `data_dir`, and the corpus cannot be downloaded.
            [`DownloadError`]: if a file cannot be fetched.
        """
        if self.config.data_dir is not None:
            return CorpusFiles.of_folder(Path(self.config.data_dir), self.tables)
        root = self.download_dir
        listing = self.remote_listing()
        if listing is None:
            raise CorpusError(
                root, f"`data_dir` with the records of {self.description.name}", "none", self.description.access
            )
        downloader = Downloader(root)
        remote = listing.files(downloader)
        if not fetch and not self.has_archives:
            return CorpusFiles.of_remote(root, remote)
        downloader.fetch_all(remote, f"download {self.description.name}")
        self.unpack(root)
        return CorpusFiles.of_folder(root)

    @property
    def download_dir(self) -> Path:
        """Where downloaded files of the corpus are kept."""
        return Path(self._cache_dir_root, "anyecg-corpora", self.description.name)

    def entries_of(self, files: CorpusFiles) -> tuple[list[CorpusEntry], list[ReportLine]]:
        """Entries with each record once, and a line for every repetition and whatever else the corpus reports."""
        entries: dict[str, CorpusEntry] = {}
        lines = []
        for entry in self.list_entries(files):
            if isinstance(entry, ReportLine):
                lines.append(entry)
                continue
            first = entries.setdefault(entry.record_id, entry)
            if first is not entry:
                lines.append(ReportLine(entry.record_id, entry.path, SKIPPED, f"the same record id as {first.path}"))
        if not entries:
            raise CorpusError(
                files.root,
                f"records of {self.description.name} ({self.description.title})",
                f"none among {len(files.paths)} files",
                "`data_dir` is the corpus's root or a folder that holds its records.",
            )
        left_out = [line for line in lines if line.outcome == SKIPPED]
        if left_out and self.strict:
            raise CorpusError(files.root, "every record, each once", f"{left_out[0].path}: {left_out[0].reason}")
        return list(entries.values()), lines

    @property
    def report(self) -> PreparationReport:
        """What was left out or odd when the corpus was prepared."""
        return PreparationReport.read(Path(self._output_dir))

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description=self.description.summary,
            citation=self.description.citation,
            homepage=self.description.homepage,
            license=self.description.licence,
            features=features(),
        )

    def _split_generators(self, dl_manager) -> list[datasets.SplitGenerator]:
        files = self.corpus_files(fetch=not dl_manager.is_streaming)
        entries, lines = self.entries_of(files)
        self._writer_batch_size = min(self._writer_batch_size, rows_at_once(files.n_bytes / len(entries)))
        folder = None if dl_manager.is_streaming else Path(self._output_dir)
        for line in lines:
            self._report_line(line, folder)
        return [
            datasets.SplitGenerator(
                name=split,
                # A list is what `datasets` divides among processes, nodes and shuffled streams.
                gen_kwargs={"entries": chosen, "files": files.for_reading(), "report_folder": folder},
            )
            for split in SPLITS
            if (chosen := [entry for entry in entries if entry.split == split])
        ]

    def _generate_examples(
        self, entries: list[CorpusEntry], files: CorpusFiles, report_folder: Path | None
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        lines: list[ReportLine] = []
        for row in self.rows(entries, files, lines):
            # A stream may hand rows to Arrow before it encodes them.
            yield row["record_id"], row | {"signal": row["signal"].to_struct()}
            while lines:
                self._report_line(lines.pop(0), report_folder)
        for line in lines:
            self._report_line(line, report_folder)

    def _report_line(self, line: ReportLine, folder: Path | None) -> None:
        if folder is not None:
            append_line(folder, line)
        elif line.outcome == SKIPPED and line not in self._logged:
            # Once: a stream comes by every record again in every epoch.
            self._logged.add(line)
            logger.warning("left out: %s: %s", line.path, line.reason)

    def _prepare_split_single(self, **kwargs) -> Iterator[tuple]:
        try:
            yield from super()._prepare_split_single(**kwargs)
        except DatasetGenerationError as error:
            raise PreparationStopped(error.__cause__) from error

    def _download_and_prepare(self, dl_manager, verification_mode, **prepare_split_kwargs) -> None:
        super()._download_and_prepare(dl_manager, verification_mode, **prepare_split_kwargs)
        report = join_parts(Path(self._output_dir))
        # `datasets` cannot open a split without rows.
        for name in [name for name, split in self.info.splits.items() if not split.num_examples]:
            del self.info.splits[name]
        if not self.info.splits:
            first = report.skipped[0]
            raise CorpusError(
                self.config.data_dir or self.download_dir,
                "records that can be read",
                f"none; {len(report.skipped)} were left out, first {first.path}: {first.reason.rstrip('.')}",
            )


def rows_at_once(row_bytes: float) -> int:
    """
    How many rows may wait for being written together. Of half-hour records, 64 are a gigabyte.

    Args:
        row_bytes (`float`): Mean size of a row.

    Returns:
        `int`: at least 1.
    """
    return max(1, int(_WAITING_BYTES / max(row_bytes, 1)))


def _file_state(option: str, path: str) -> str:
    """Changes when the file does."""
    if not Path(path).is_file():
        raise CorpusError(path, f"the file that the option `{option}` names", "no such file")
    status = Path(path).stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def _with_leads(record: CorpusRecord, leads: tuple[str, ...], entry: CorpusEntry) -> CorpusRecord:
    missing = [name for name in leads if name not in record.lead_names]
    if missing:
        raise CorpusError(entry.path, f"the leads {', '.join(leads)}", f"no {', '.join(missing)}")
    signal = record.signal.take([record.lead_names.index(name) for name in leads])
    annotations = tuple(note for note in record.annotations if note.lead_name in (None, *leads))
    return replace(record, signal=signal, lead_names=leads, annotations=annotations)


def _amplitude_notes(signal: StoredSignal) -> list[str]:
    ranges_mv = signal.ranges_mv()
    if not ranges_mv.any():
        return ["every lead is flat or missing"]
    low_mv, high_mv = USUAL_LEAD_RANGE_MV
    median_mv = float(np.median(ranges_mv[ranges_mv > 0]))
    if low_mv <= median_mv <= high_mv:
        return []
    return [f"the leads' median range is {median_mv:.3g} mV, outside of {low_mv:g} to {high_mv:g}: check gain and unit"]


def _below(root: Path, text: str) -> str:
    """A message with paths as they are below the root: reports are shared."""
    return text.replace(f"{root}{os.sep}", "")


def _label_notes(unknown: tuple[str, ...]) -> list[str]:
    return [f"labels that no table knows: {', '.join(unknown)}"] if unknown else []


__all__ = ["SPLITS", "CorpusConfig", "ECGCorpusBuilder", "PreparationStopped"]
