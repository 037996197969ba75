# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Cards and gallery pictures of corpora: facts from the corpus's description and from what was counted."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import datasets
import jinja2
import pyarrow.parquet as pq
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCardData

from anyecg_hf.corpora import CorpusDescription
from anyecg_hf.corpora.downloads.download_errors import storing
from anyecg_hf.corpora.label_sets import CORPUS_LABEL_SYSTEMS
from anyecg_hf.corpora.label_tables import label_table, normalised_label
from anyecg_hf.corpora.parquet.shard_rows import form_features
from anyecg_hf.corpora.parquet.sharding import CARD_FILE, GALLERY_FILE, PreparedCorpus
from anyecg_hf.corpora.preparation_report import ReportLine
from anyecg_hf.hub.templates import TEMPLATES, load_template
from anyecg_hf.records import read_record

TEMPLATE = TEMPLATES / "corpus.md.jinja"
N_LABELS, N_PICTURES, N_LEAD_SETS = 20, 3, 12
UNKNOWN_LICENCE = "unknown"

# What the Hub calls licences that its list has.
_HUB_LICENCES = {
    "CC-BY-4.0": "cc-by-4.0",
    "CC-BY-SA-4.0": "cc-by-sa-4.0",
    "CC0-1.0": "cc0-1.0",
    "ODC-By-1.0": "odc-by",
    "ODbL-1.0": "odbl",
    "PDDL-1.0": "pddl",
    UNKNOWN_LICENCE: "unknown",
}
_SIZES = (
    *((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")),
    (10_000_000, "1M<n<10M"),
)
_TAGS = ("ecg", "electrocardiogram", "time-series", "biosignals", "anyecg")
_NUMBER = re.compile(r"\d[\d.,]*")


@dataclass(frozen=True)
class LabelRow:
    """A row of a table of labels: `label`, what it means, and how many records have it."""

    label: str
    name: str
    n_records: int


@dataclass(frozen=True)
class ReasonRow:
    """A row of the table of what was left out or odd: a reason, how often, and the first record with it."""

    reason: str
    n_records: int
    example: str


def write_corpus_card(prepared: PreparedCorpus, description: CorpusDescription, template: Path = TEMPLATE) -> Path:
    """
    Writes the card (`README.md`) into the folder of a prepared corpus.

    Args:
        prepared ([`PreparedCorpus`]): What [`write_corpus`] returned.
        description ([`CorpusDescription`]): Of the builder.
        template (`Path`, *optional*): By default `corpus.md.jinja` of this package.

    Returns:
        `Path`: the card.

    Raises:
        `ValueError`: if the template names what is not known.
        [`StorageError`]: if the disk refuses.
    """
    text = render_corpus_card(prepared, description, template)
    path = prepared.folder / CARD_FILE
    with storing(path):
        path.write_text(text, encoding="utf-8")
    return path


def render_corpus_card(prepared: PreparedCorpus, description: CorpusDescription, template: Path = TEMPLATE) -> str:
    """
    Args:
        prepared ([`PreparedCorpus`]), description ([`CorpusDescription`]), template (`Path`, *optional*): As in
            [`write_corpus_card`].

    Returns:
        `str`: the card with its metadata block.

    Raises:
        `ValueError`: if the template names what is not known.
    """
    counts = prepared.counts
    splits = [(name, prepared.counts_of(name)) for name in prepared.plan.splits]
    try:
        return load_template(template).render(
            card_data=card_data(prepared, description).to_yaml(),
            description=description,
            prepared=prepared,
            plan=prepared.plan,
            counts=counts,
            splits=splits,
            n_shared_patients=sum(
                number > 1 for number in Counter(patient for _, part in splits for patient in part.patients).values()
            ),
            rates_hz=_most_common(counts.rates_hz),
            lead_sets=[(names.split(","), number) for names, number in _most_common(counts.leads)],
            n_lead_sets=N_LEAD_SETS,
            n_shown=N_LABELS,
            labels=label_rows(counts.labels, ("snomed",)),
            native_labels=label_rows(counts.native_labels, _systems(description)),
            superclasses=_most_common(counts.superclasses),
            skipped=reason_rows(prepared.report.skipped),
            noted=reason_rows(prepared.report.noted),
            has_gallery=(prepared.folder / GALLERY_FILE).is_file(),
            gallery_file=GALLERY_FILE,
            folder_name=prepared.folder.name,
        )
    except jinja2.UndefinedError as error:
        raise ValueError(f"the card states what is not known of {description.name}: {error}") from error


def card_data(prepared: PreparedCorpus, description: CorpusDescription) -> DatasetCardData:
    """
    Metadata of a card. A licence that is not certain is `other` there, with a name that says so.

    Args:
        prepared ([`PreparedCorpus`]), description ([`CorpusDescription`]): As in [`write_corpus_card`].

    Returns:
        `huggingface_hub.DatasetCardData`
    """
    splits = datasets.SplitDict()
    configs = []
    for name in prepared.plan.splits:
        counts = prepared.counts_of(name)
        # `datasets` cannot open a split without rows.
        if counts.n_rows:
            splits.add(datasets.SplitInfo(name, num_bytes=counts.n_arrow_bytes, num_examples=counts.n_rows))
            configs.append({"split": name, "path": f"data/{name}-*"})
    info = datasets.DatasetInfo(
        # Features of this package are read from the files: YAML has no name for them.
        features=form_features("public") if prepared.plan.form == "public" else None,
        splits=splits,
        download_size=prepared.n_bytes,
        dataset_size=prepared.counts.n_arrow_bytes,
    )
    data = DatasetCardData(
        **_licence_data(description),
        pretty_name=description.title,
        size_categories=[_size_category(prepared.counts.n_rows)],
        tags=[*_TAGS, description.name],
    )
    DatasetInfosDict({"default": info}).to_dataset_card_data(data)
    MetadataConfigs({"default": {"data_files": configs}}).to_dataset_card_data(data)
    return data


def _licence_data(description: CorpusDescription) -> dict[str, str]:
    known = _HUB_LICENCES.get(description.licence)
    if known is not None and (description.licence_is_certain or description.licence == UNKNOWN_LICENCE):
        return {"license": known}
    name = re.sub(r"[^a-z0-9.]+", "-", description.licence.lower()).strip("-")
    data = {"license": "other", "license_name": name if description.licence_is_certain else f"{name}-not-confirmed"}
    return {**data, "license_link": description.homepage} if description.homepage else data


def _size_category(n_records: int) -> str:
    return next((name for limit, name in _SIZES if n_records < limit), "n>10M")


def _systems(description: CorpusDescription) -> list[str]:
    """Systems in which the labels of a corpus may be written, the likeliest first."""
    stated = (description.label_system, *CORPUS_LABEL_SYSTEMS.get(description.name, ()))
    return [system for system in dict.fromkeys(stated) if system]


def label_rows(counts: Mapping[str, int], systems: Sequence[str]) -> list[LabelRow]:
    """
    Args:
        counts (`Mapping[str, int]`): Records by label.
        systems (`Sequence[str]`): Label systems; the first that knows a label says what it means.

    Returns:
        `list[LabelRow]`: the most common first; without a name where there is none.
    """
    return [LabelRow(label, _name_of(label, systems), number) for label, number in _most_common(counts)]


def _name_of(label: str, systems: Sequence[str]) -> str:
    for system in systems:
        known = label_table(system).get(normalised_label(system, label))
        if known is not None:
            return known.name
    return ""


def reason_rows(lines: Iterable[ReportLine]) -> list[ReasonRow]:
    """
    Args:
        lines (`Iterable[ReportLine]`): Lines of a report.

    Returns:
        `list[ReasonRow]`: the most common reason first. Reasons that differ in the record's name and in numbers only
        count as one.
    """
    by_kind: dict[str, list[ReportLine]] = {}
    for line in lines:
        by_kind.setdefault(_NUMBER.sub("#", _reason_alone(line)), []).append(line)
    rows = [
        ReasonRow(_reason_alone(some[0]), len(some), some[0].record_id or some[0].path) for some in by_kind.values()
    ]
    return sorted(rows, key=lambda row: (-row.n_records, row.reason))


def _reason_alone(line: ReportLine) -> str:
    """The reason without the path that it may begin with."""
    path = re.escape(line.path)
    return re.sub(rf"^{path}(?:\.\w+)?: ", "", line.reason) if path else line.reason


def _most_common(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def write_corpus_gallery(prepared: PreparedCorpus, description: CorpusDescription) -> Path:
    """
    Draws a few records into the folder of a prepared corpus: for each of the commonest labels the first record that
    has it and is not there yet.

    Args:
        prepared ([`PreparedCorpus`]): What [`write_corpus`] returned.
        description ([`CorpusDescription`]): Of the builder.

    Returns:
        `Path`: the picture.

    Raises:
        `ImportError`: if matplotlib is not installed.
        [`StorageError`]: if the disk refuses.
    """
    from anyecg_hf.plotting.gallery import SHOWN_S, GalleryEntry, save_gallery

    entries = []
    for chosen in chosen_records(prepared):
        record = read_record(chosen.address)
        words = ", ".join(_name_of(label, _systems(description)) or label for label in chosen.labels)
        if words and record.duration_s > SHOWN_S:
            words = f"Of the whole record: {words}"
        subtitle = f"{description.title}. {record.sampling_rate:g} Hz. {words}"
        entries.append(GalleryEntry(record, chosen.record_id, subtitle))
    path = prepared.folder / GALLERY_FILE
    with storing(path):
        save_gallery(entries, path)
    return path


@dataclass(frozen=True)
class ChosenRecord:
    """
    A record for the gallery.

    Attributes:
        address (`str`): What [`~anyecg_hf.records.read_record`] takes.
        record_id (`str`): Its name.
        labels (`tuple[str, ...]`): Its native labels.
    """

    address: str
    record_id: str
    labels: tuple[str, ...]


def chosen_records(prepared: PreparedCorpus, number: int = N_PICTURES) -> list[ChosenRecord]:
    """
    Chooses records that differ: each is the first with the commonest label that none before it has. Records that the
    report calls odd are chosen last.

    Args:
        prepared ([`PreparedCorpus`]): A prepared corpus.
        number (`int`, *optional*, defaults to 3): How many to choose; if there are fewer labels, the first records too.

    Returns:
        `list[ChosenRecord]`
    """
    odd = {line.record_id for line in prepared.report.noted}
    chosen: list[ChosenRecord] = []
    shown: set[str] = set()
    for label, _ in _most_common(prepared.counts.native_labels):
        if len(chosen) == number:
            return chosen
        rows = (row for row in _rows_with(prepared, label) if label in row.labels and row.record_id not in odd)
        if label not in shown and (row := next(rows, None)) is not None:
            chosen.append(row)
            shown.update(row.labels)
    others = [row for row in islice(_rows_with(prepared), number + len(odd)) if row not in chosen]
    others.sort(key=lambda row: row.record_id in odd)
    return [*chosen, *others][:number]


def _rows_with(prepared: PreparedCorpus, label: str | None = None) -> Iterator[ChosenRecord]:
    """Every row, file by file; files without `label` are passed over."""
    for shard, path in zip(prepared.shards, prepared.parquet_paths, strict=True):
        if shard.counts.n_rows and (label is None or label in shard.counts.native_labels):
            rows = pq.read_table(path, columns=["record_id", "native_labels"]).to_pylist()
            for number, row in enumerate(rows):
                yield ChosenRecord(f"{path}::#{number}", row["record_id"], tuple(row["native_labels"]))


__all__ = [
    "LabelRow",
    "N_LABELS",
    "TEMPLATE",
    "ReasonRow",
    "card_data",
    "chosen_records",
    "label_rows",
    "reason_rows",
    "render_corpus_card",
    "write_corpus_card",
    "write_corpus_gallery",
]
