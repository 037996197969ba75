# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
Writes the counts of `docs/labels.md`: normal and abnormal records, rhythm classes, challenge classes, unmapped labels.

    python examples/count_labels.py FOLDER_OF_CORPORA
"""

import argparse
import ast
import csv
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import wfdb

from anyecg_hf.corpora.label_sets import ARRHYTHMIA_CLASSES, anomaly, arrhythmia_labels, classes_used, corpus_to_snomed
from anyecg_hf.corpora.label_tables import (
    SUPERCLASSES,
    challenge_classes,
    challenge_counts,
    challenge_labels,
    snomed_concepts,
    superclasses,
)
from anyecg_hf.records.header_comments import parse_comments

DOCUMENT = Path(__file__).parents[1] / "docs" / "labels.md"
BEGIN, END = "<!-- counts: written by examples/count_labels.py -->\n", "<!-- end of the counts -->\n"

_CHALLENGE_SOURCES = {
    "cpsc-extra": "cpsc_2018_extra",
    "incart": "st_petersburg_incart",
    "georgia": "georgia",
    "chapman-shaoxing": "chapman_shaoxing",
    "ningbo": "ningbo",
}
# Corpora with labels of every record at hand, and the parts of the challenge, of which totals were published.
_FULL = ("ptb-xl", "sph", "ludb", "cinc2017")
_PUBLISHED = ("cpsc2018", "cpsc-extra", "incart", "ptb", "georgia", "chapman-shaoxing", "ningbo")

Labels = tuple[str, ...]


@dataclass(frozen=True)
class CountedCorpus:
    """Native labels of the records of a corpus, and where they stand."""

    name: str
    where: str
    records: list[Labels]


def read_corpora(data: Path) -> list[CountedCorpus]:
    """
    Reads every label at hand.

    Args:
        data (`Path`): Folder of the corpora.

    Returns:
        `list[CountedCorpus]`
    """
    challenge = data / "challenge-2021" / "training"
    headers = {name: _header_labels(challenge / folder) for name, folder in _CHALLENGE_SOURCES.items()}
    cpsc2018 = _header_labels(data / "cpsc2018-text-dx") + _header_labels(challenge / "cpsc_2018")
    return [
        CountedCorpus("ptb-xl", "`ptbxl_database.csv`, all", _ptbxl_labels(data / "ptb-xl")),
        CountedCorpus("sph", "`metadata.csv`, all", _sph_labels(data / "sph")),
        CountedCorpus("ludb", "`ludb.csv`, all", _ludb_labels(data / "ludb")),
        CountedCorpus("cinc2017", "`REFERENCE.csv`, all", _cinc2017_labels(data / "challenge-2017")),
        CountedCorpus("cpsc2018", "headers at hand", cpsc2018),
        *(CountedCorpus(name, "headers at hand", labels) for name, labels in headers.items()),
        CountedCorpus("ptb", "headers at hand", _ptb_labels(data / "ptbdb")),
        CountedCorpus("mit-bih", "whole records at hand", _beat_labels(data / "mitdb")),
    ]


def _ptbxl_labels(folder: Path) -> list[Labels]:
    with open(folder / "ptbxl_database.csv", newline="", encoding="utf-8") as table:
        return [tuple(ast.literal_eval(row["scp_codes"])) for row in csv.DictReader(table)]


def _sph_labels(folder: Path) -> list[Labels]:
    with open(folder / "metadata.csv", newline="", encoding="utf-8") as table:
        return [tuple(row["AHA_Code"].split(";")) for row in csv.DictReader(table)]


def _ludb_labels(folder: Path) -> list[Labels]:
    with open(folder / "ludb.csv", newline="", encoding="utf-8") as table:
        rows = [
            [cell for name, cell in row.items() if name not in ("ID", "Sex", "Age")] for row in csv.DictReader(table)
        ]
    return [tuple(text for cell in cells for text in cell.splitlines() if text.strip()) for cells in rows]


def _cinc2017_labels(folder: Path) -> list[Labels]:
    with open(folder / "REFERENCE.csv", newline="", encoding="utf-8") as table:
        return [(label,) for _, label in csv.reader(table)]


def _comments(header: Path) -> list[str]:
    return [line.lstrip("# ") for line in header.read_text(encoding="utf-8").splitlines() if line.startswith("#")]


def _header_labels(folder: Path) -> list[Labels]:
    return [parse_comments(_comments(header)).labels for header in sorted(folder.rglob("*.hea"))]


def _ptb_labels(folder: Path) -> list[Labels]:
    key = "Reason for admission:"
    comments = [_comments(header) for header in sorted(folder.rglob("*.hea"))]
    return [tuple(line.removeprefix(key).strip() for line in lines if line.startswith(key)) for lines in comments]


def _beat_labels(folder: Path) -> list[Labels]:
    annotations = [wfdb.rdann(str(path.with_suffix("")), "atr") for path in sorted(folder.glob("*.atr"))]
    return [
        tuple(sorted({*item.symbol, *(note.strip("\0") for note in item.aux_note if note.startswith("("))}))
        for item in annotations
    ]


def render_counts(data: Path) -> str:
    """
    Every table.

    Args:
        data (`Path`): Folder of the corpora.

    Returns:
        `str`: Markdown.
    """
    corpora = read_corpora(data)
    sections = {
        "Normal and abnormal": _anomaly_table(corpora),
        "What the rhythm classes hold": _definition_table(),
        "Rhythm classes": _class_table(
            corpora, "arrhythmia", {item.name: item.codes for item in ARRHYTHMIA_CLASSES}, arrhythmia_labels
        ),
        "Classes of Challenge 2021": _class_table(
            corpora,
            "challenge-2021",
            {item.name: item.codes for item in challenge_classes(2021)},
            lambda codes: challenge_labels(codes, 2021),
        ),
        "Superclasses of PTB-XL": _superclass_table(corpora),
        "Labels without a code": _unmapped_table(corpora),
    }
    return "\n".join(f"### {title}\n\n{table}" for title, table in sections.items())


def _table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    header = list(header)
    cells = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(_cell(value) for value in row)} |\n" for row in cells)


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")


def _anomaly_table(corpora: list[CountedCorpus]) -> str:
    rows = []
    for corpus in corpora:
        cells: list[object] = [corpus.name, corpus.where, len(corpus.records)]
        for sinus_rate_is_abnormal in (None, False, True):
            counts = Counter(anomaly(corpus.name, labels, sinus_rate_is_abnormal) for labels in corpus.records)
            cells.append(f"{counts[False]:,} / {counts[True]:,} / {counts[None]:,}")
        rows.append(cells)
    header = ("corpus", "labels", "records", "default", "sinus rates normal", "sinus rates abnormal")
    return "Normal / abnormal / left out.\n\n" + _table(header, rows)


def _definition_table() -> str:
    concepts = snomed_concepts()
    rows = [
        (item.name, item.title, "; ".join(f"{concepts[code].name} {code}" for code in item.codes))
        for item in ARRHYTHMIA_CLASSES
    ]
    return _table(("class", "in words", "SNOMED CT codes"), rows)


def _class_table(
    corpora: list[CountedCorpus], label_set: str, classes: dict[str, Labels], labels_of: Callable[[Labels], Labels]
) -> str:
    columns = {}
    for corpus in (item for item in corpora if item.name in _FULL):
        counts = Counter(
            name for labels in corpus.records for name in labels_of(corpus_to_snomed(corpus.name, labels).codes)
        )
        used = classes_used(corpus.name, label_set)
        columns[corpus.name] = {name: counts[name] if name in used else "-" for name in classes}
    for corpus_name in _PUBLISHED:
        published = challenge_counts(corpus_name)
        totals = {name: sum(published.get(code, 0) for code in codes) for name, codes in classes.items()}
        columns[corpus_name] = {name: total or "-" for name, total in totals.items()}
    rows = [(name, *(column[name] for column in columns.values())) for name in classes]
    return _table(("class", *columns), rows)


def _superclass_table(corpora: list[CountedCorpus]) -> str:
    (ptbxl,) = (item for item in corpora if item.name == "ptb-xl")
    found = [superclasses(labels) for labels in ptbxl.records]
    counts = Counter(name for names in found for name in names)
    sizes = Counter(min(len(names), 2) for names in found)
    header = (*SUPERCLASSES, "records with none", "with one", "with several")
    return _table(header, [[*(counts[name] for name in SUPERCLASSES), sizes[0], sizes[1], sizes[2]]])


def _unmapped_table(corpora: list[CountedCorpus]) -> str:
    rows = []
    for corpus in corpora:
        labels = Counter(label for record in corpus.records for label in dict.fromkeys(record))
        without = {label: n for label, n in labels.items() if corpus_to_snomed(corpus.name, [label]).unmapped}
        frequent = sorted(without, key=lambda label: (-without[label], label))[:4]
        named = ", ".join(f"`{label}` {without[label]:,}" for label in frequent) + (", ..." if len(without) > 4 else "")
        rows.append((corpus.name, len(labels), sum(labels.values()), len(without), sum(without.values()), named))
    header = ("corpus", "labels", "uses", "labels without", "their uses", "most frequent")
    return _table(header, rows)


def replace_counts(document: str, counts: str) -> str:
    """
    Puts the tables into the document.

    Args:
        document (`str`): Text with the two marks.
        counts (`str`): What to put between them.

    Returns:
        `str`: the new text.

    Raises:
        ValueError: If a mark is missing.
    """
    if BEGIN not in document or END not in document:
        raise ValueError(f"expected the marks {BEGIN.strip()} and {END.strip()} in the document.")
    before, _, rest = document.partition(BEGIN)
    return f"{before}{BEGIN}\n{counts}\n{END}{rest.partition(END)[2]}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the counts of docs/labels.md.")
    parser.add_argument("data", type=Path, help="folder of the corpora")
    parser.add_argument("--document", type=Path, default=DOCUMENT, help="file to write into (default: docs/labels.md)")
    arguments = parser.parse_args()
    text = arguments.document.read_text(encoding="utf-8")
    arguments.document.write_text(replace_counts(text, render_counts(arguments.data)), encoding="utf-8")
    print(f"counts written to {arguments.document}")


if __name__ == "__main__":
    main()
