# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Any folder of records, with an optional table of labels."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from ...records import RecordSource, find_records, open_record
from ...records.addresses import parse_address
from ..building import CorpusConfig, ECGCorpusBuilder
from ..description import CorpusDescription
from ..entries import CorpusEntry
from ..files import CorpusFiles
from ..label_tables import LABEL_SYSTEMS
from ..preparation_report import SKIPPED, ReportLine
from .folder_labels import LabelTable


@dataclass
class FolderConfig(CorpusConfig):
    """
    Options of [`Folder`].

    Args:
        labels_csv (`str`, *optional*):
            A table with a row for each record: see [`~corpora.folder_labels.LabelTable`].
        label_columns (`Sequence[str]`, *optional*):
            Columns of this table that are named by a label and hold 1 or 0.
        label_system (`str`, *optional*):
            What the labels of table and records are: one of `LABEL_SYSTEMS`, which maps them to SNOMED CT, or
            empty (as by default) for codes of one's own, which are kept as native labels only.
        sampling_rate (`float`, *optional*), lead_names (`Sequence[str]`, *optional*), unit (`str`, *optional*):
            As in [`~anyecg_hf.records.read_record`], for all records: what their files do not state.
        title (`str`, *optional*), licence (`str`, *optional*):
            Of this folder, for rows and card.
    """

    labels_csv: str | None = None
    label_columns: Sequence[str] | None = None
    label_system: str = ""
    sampling_rate: float | None = None
    lead_names: Sequence[str] | None = None
    unit: str | None = None
    title: str | None = None
    licence: str | None = None


class Folder(ECGCorpusBuilder):
    """
    Records in any format that [`~anyecg_hf.records.find_records`] finds in a folder and its sub-folders. The id of a
    record is its path below the folder without suffix. Patients, labels and annotations are those of the files, unless
    the table of labels says something else.
    """

    BUILDER_CONFIG_CLASS = FolderConfig

    description = CorpusDescription(
        name="folder",
        title="Records in a folder",
        summary="ECG records in a folder of the user's own.",
        homepage="",
        citation="Cite the source of the records.",
        licence="unknown",
        licence_is_certain=False,
        label_system="",
        access="These are records of your own: pass their folder.",
    )
    has_annotations = True
    file_options = ("labels_csv",)

    def __init__(
        self, cache_dir: str | None = None, data_dir: str | None = None, strict: bool = False, **config_kwargs: Any
    ):
        config_kwargs = {name: _plain(value) for name, value in config_kwargs.items()}
        _check_label_columns(config_kwargs.get("label_columns"), config_kwargs.get("labels_csv"))
        # Only this corpus has words of its user's in the description.
        self.description = _described(
            config_kwargs.get("title"), config_kwargs.get("licence"), config_kwargs.get("label_system") or ""
        )
        super().__init__(cache_dir=cache_dir, data_dir=data_dir, strict=strict, **config_kwargs)

    def list_entries(self, files: CorpusFiles) -> Iterator[CorpusEntry | ReportLine]:
        labels_csv = None if self.config.labels_csv is None else Path(self.config.labels_csv)
        records: dict[str, CorpusEntry] = {}
        copies = []
        for path in find_records(files.root):
            if labels_csv is not None and path.is_file() and path.samefile(labels_csv):
                continue
            relative = path.relative_to(files.root).as_posix()
            if not _is_utf8(relative):
                shown = os.fsencode(relative).decode("utf-8", errors="replace")
                yield ReportLine(shown, shown, SKIPPED, "its path is not in UTF-8")
                continue
            entry = CorpusEntry(_record_id(path, files.root), relative)
            if records.setdefault(entry.record_id, entry) is not entry:
                copies.append(entry)
        if labels_csv is None:
            yield from records.values()
        else:
            yield from LabelTable(labels_csv, self.config.label_columns or ()).entries(list(records.values()))
        yield from copies

    def open_source(self, entry: CorpusEntry, files: CorpusFiles) -> RecordSource:
        return open_record(
            files.local_record(entry.path),
            sampling_rate=self.config.sampling_rate,
            lead_names=self.config.lead_names,
            unit=self.config.unit,
        )


def _plain(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _check_label_columns(label_columns: Sequence[str] | None, labels_csv: str | None) -> None:
    if isinstance(label_columns, str):
        raise ValueError(f"`label_columns` must be a sequence of names such as ['AF'], got {label_columns!r}.")
    if label_columns and labels_csv is None:
        raise ValueError("`label_columns` are columns of `labels_csv`: pass this table too.")


def _described(title: str | None, licence: str | None, label_system: str) -> CorpusDescription:
    if label_system and label_system not in LABEL_SYSTEMS:
        raise ValueError(f"`label_system` must be one of {', '.join(LABEL_SYSTEMS)}, or '', got {label_system!r}.")
    known = Folder.description
    return replace(
        known,
        title=title or known.title,
        licence=licence or known.licence,
        licence_is_certain=licence is not None,
        label_system=label_system,
    )


def _record_id(path: Path, root: Path) -> str:
    """Path below the folder without suffix, and with the name in the file where this holds several records."""
    file = parse_address(path).file
    # Records of several files come without suffix, and may have a dot in their name.
    plain = file.with_suffix("") if file.is_file() else file
    name = str(path).removeprefix(str(file))
    return f"{PurePosixPath(plain.relative_to(root).as_posix())}{name}"


def _is_utf8(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


__all__ = ["Folder", "FolderConfig"]
