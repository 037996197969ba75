# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Labels as the corpora write them, mapped to SNOMED CT by the tables in `labels/`; sources are in `docs/labels.md`."""

import csv
import importlib.resources
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TypeVar

# Changed whenever a row changes, so that stored labels can name the tables that made them.
LABEL_TABLES_VERSION = "1"

LABEL_SYSTEMS = ("snomed", "scp", "aha", "cpsc2018", "cinc2017", "code15", "ludb", "ptb", "wfdb", "chapman", "mimic")
CHALLENGE_YEARS = (2020, 2021)
# PTB-XL's diagnostic superclasses in their usual order.
SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")

Item = TypeVar("Item")

# Codes are strings: as a float, 67741000119109 and its like lose digits.
_SNOMED_CODE = re.compile(r"[1-9]\d{5,17}")
# What some files print before a text that is otherwise the same.
_TEXT_PREFIXES = {"ludb": "rhythm:", "mimic": "summary:", "ptb": ""}


@dataclass(frozen=True)
class SNOMEDConcept:
    """
    A SNOMED CT code that some corpus uses.

    Attributes:
        code (`str`): The code.
        name (`str`): What its source calls it.
        abbreviation (`str`): The challenge's short form, empty where it has none.
        challenge_2020, challenge_2021 (`str` or `None`): Scored class, which codes scored as one share.
        source (`str`): Key of the citation in `docs/labels.md`.
        note (`str`): What to know before using it.
    """

    code: str
    name: str
    abbreviation: str
    challenge_2020: str | None
    challenge_2021: str | None
    source: str
    note: str


@dataclass(frozen=True)
class NativeLabel:
    """
    A label of one corpus or family of corpora.

    Attributes:
        label (`str`): As written there.
        name (`str`): In words.
        codes (`tuple[str, ...]`): SNOMED CT codes; none if no code says the same or something broader.
        source (`str`): Keys of the citations of the label and of its mapping, apart by a blank.
        note (`str`): What is lost, or why it has no code.
    """

    label: str
    name: str
    codes: tuple[str, ...]
    source: str
    note: str


@dataclass(frozen=True)
class SCPStatement(NativeLabel):
    """A statement of PTB-XL; `superclass` and `subclass` are `None` unless `diagnostic`."""

    diagnostic: bool
    form: bool
    rhythm: bool
    superclass: str | None
    subclass: str | None


@dataclass(frozen=True)
class WFDBLabel(NativeLabel):
    """
    A beat symbol or rhythm note of a WFDB annotation file.

    Attributes:
        kind (`str`): `"beat"`, `"rhythm"`, `"unclear"` (noise, unclassified) or `"mark"` (places, comments).
        used_by (`tuple[str, ...]`): Corpora that use it.
    """

    kind: str
    used_by: tuple[str, ...]


@dataclass(frozen=True)
class SNOMEDLabels:
    """
    Labels after mapping.

    Attributes:
        codes (`tuple[str, ...]`): SNOMED CT codes in the order of the labels, each once.
        unmapped (`tuple[str, ...]`): The native labels that no code stands for, or that no table knows, each once.
    """

    codes: tuple[str, ...]
    unmapped: tuple[str, ...]


@dataclass(frozen=True)
class ChallengeClass:
    """A scored class of a PhysioNet challenge, such as `PAC|SVPB`, and the codes that count for it."""

    name: str
    codes: tuple[str, ...]


def to_snomed(system: str, native_labels: Iterable[str]) -> SNOMEDLabels:
    """
    Maps the labels of a record.

    Args:
        system (`str`): One of `LABEL_SYSTEMS`. `"snomed"` keeps codes as they are, those that no table knows too, which
            are unmapped as well.
        native_labels (`Iterable[str]`): Labels; blank ones are skipped. Texts are compared without case, surplus blanks
            and punctuation at their ends, codes as they are.

    Returns:
        [`SNOMEDLabels`]

    Raises:
        ValueError: If there is no such system.
        TypeError: If a label is no string, or all of them are one string.
    """
    table = label_table(system)
    codes: dict[str, None] = {}
    unmapped: dict[str, None] = {}
    for label in checked_labels(native_labels):
        known = table.get(normalised_label(system, label))
        if known is None and system == "snomed" and is_snomed_code(label):
            codes[label.strip()] = None
        elif known is not None:
            codes.update(dict.fromkeys(known.codes))
        if known is None or not known.codes:
            unmapped[label] = None
    return SNOMEDLabels(tuple(codes), tuple(unmapped))


def checked_labels(native_labels: Iterable[str]) -> tuple[str, ...]:
    """Labels that are not blank; `TypeError` for one string instead of several, and for labels that are no strings."""
    if isinstance(native_labels, str):
        raise TypeError(f"expected several labels, got the string {native_labels!r}; put it into a list.")
    labels = tuple(native_labels)
    for label in labels:
        if not isinstance(label, str):
            raise TypeError(
                f"expected labels as strings, got {label!r} ({type(label).__name__}); read codes as text, because long "
                "ones lose digits as numbers."
            )
    return tuple(label for label in labels if label.strip(" \0\t\r\n"))


def is_snomed_code(label: str) -> bool:
    """Whether a label is written like a SNOMED CT code, known or not."""
    return _SNOMED_CODE.fullmatch(label.strip()) is not None


def normalised_label(system: str, label: str) -> str:
    """The form of a label under which [`label_table`] has it."""
    if system not in _TEXT_PREFIXES:
        # WFDB pads its notes with zero bytes.
        return label.strip(" \0\t\r\n")
    text = " ".join(label.split()).casefold().strip(" .,;:*-")
    return text.removeprefix(_TEXT_PREFIXES[system]).strip(" .,;:*-")


@cache
def label_table(system: str) -> Mapping[str, NativeLabel]:
    """
    Every label of a system.

    Args:
        system (`str`): One of `LABEL_SYSTEMS`.

    Returns:
        `Mapping[str, NativeLabel]`: by [`normalised_label`], read-only.

    Raises:
        ValueError: If there is no such system.
    """
    if system not in LABEL_SYSTEMS:
        raise ValueError(f"label system {system!r} is unknown; choose one of {', '.join(LABEL_SYSTEMS)}.")
    if system == "snomed":
        concepts = snomed_concepts().values()
        labels = [NativeLabel(item.code, item.name, (item.code,), item.source, item.note) for item in concepts]
    else:
        build = {"scp": _scp_statement, "wfdb": _wfdb_label}.get(system, _native_label)
        labels = [build(row) for row in read_label_csv(f"{system}.csv")]
    return _by_key(labels, lambda label: normalised_label(system, label.label))


@cache
def snomed_concepts() -> Mapping[str, SNOMEDConcept]:
    """Every SNOMED CT code in use, by code, read-only."""
    return _by_key(map(_snomed_concept, read_label_csv("snomed.csv")), lambda concept: concept.code)


@cache
def challenge_classes(year: int) -> tuple[ChallengeClass, ...]:
    """
    The classes that a PhysioNet challenge scored.

    Args:
        year (`int`): 2020 (24 classes) or 2021 (26).

    Returns:
        `tuple[ChallengeClass, ...]`: in the order of the 2021 reward matrix.

    Raises:
        ValueError: For another year.
    """
    if year not in CHALLENGE_YEARS:
        raise ValueError(f"challenge year {year!r} is unknown; choose one of {', '.join(map(str, CHALLENGE_YEARS))}.")
    codes: dict[str, list[str]] = {}
    for concept in snomed_concepts().values():
        name = concept.challenge_2020 if year == 2020 else concept.challenge_2021
        if name:
            codes.setdefault(name, []).append(concept.code)
    return tuple(ChallengeClass(name, tuple(codes[name])) for name in sorted(codes, key=str.casefold))


def challenge_labels(codes: Iterable[str], year: int) -> tuple[str, ...]:
    """
    Names of the scored classes that SNOMED CT codes belong to.

    Args:
        codes (`Iterable[str]`): Codes; unscored ones count for nothing.
        year (`int`): 2020 or 2021.

    Returns:
        `tuple[str, ...]`: in the order of [`challenge_classes`]; empty means "no scored class", not "normal".
    """
    present = set(checked_labels(codes))
    return tuple(item.name for item in challenge_classes(year) if present.intersection(item.codes))


def challenge_counts(corpus: str) -> Mapping[str, int]:
    """
    How many public training records of Challenge 2021 carry each code.

    Args:
        corpus (`str`): A corpus that the challenge includes.

    Returns:
        `Mapping[str, int]`: by code, read-only, zeros included.

    Raises:
        ValueError: If the challenge does not include it.
    """
    counts = _challenge_counts()
    if corpus not in counts:
        raise ValueError(f"corpus {corpus!r} is not part of Challenge 2021, which has {', '.join(counts)}.")
    return counts[corpus]


@cache
def _challenge_counts() -> Mapping[str, Mapping[str, int]]:
    rows = read_label_csv("challenge_counts.csv")
    corpora = [name for name in rows[0] if name != "code"]
    return MappingProxyType(
        {corpus: MappingProxyType({row["code"]: int(row[corpus]) for row in rows}) for corpus in corpora}
    )


def superclasses(scp_codes: Iterable[str]) -> tuple[str, ...]:
    """
    PTB-XL's diagnostic superclasses of a record.

    Args:
        scp_codes (`Iterable[str]`): Its SCP codes. Every diagnostic one counts whatever its likelihood: zero means
            "not given" there, not "absent".

    Returns:
        `tuple[str, ...]`: in the order of `SUPERCLASSES`.

    Raises:
        ValueError: For a code that PTB-XL does not have.
    """
    present = {statement.superclass for statement in scp_statements(scp_codes)}
    return tuple(name for name in SUPERCLASSES if name in present)


def subclasses(scp_codes: Iterable[str]) -> tuple[str, ...]:
    """
    PTB-XL's diagnostic subclasses of a record.

    Args:
        scp_codes (`Iterable[str]`): As for [`superclasses`].

    Returns:
        `tuple[str, ...]`: in the order of PTB-XL's table.

    Raises:
        ValueError: For a code that PTB-XL does not have.
    """
    present = {statement.subclass for statement in scp_statements(scp_codes)}
    order = dict.fromkeys(statement.subclass for statement in label_table("scp").values())
    return tuple(name for name in order if name and name in present)


def scp_statements(scp_codes: Iterable[str]) -> tuple[SCPStatement, ...]:
    """
    PTB-XL's statements by code.

    Args:
        scp_codes (`Iterable[str]`): SCP codes.

    Returns:
        `tuple[SCPStatement, ...]`: in the same order.

    Raises:
        ValueError: For a code that PTB-XL does not have.
    """
    table = label_table("scp")
    labels = checked_labels(scp_codes)
    unknown = [label for label in labels if label.strip() not in table]
    if unknown:
        raise ValueError(f"expected SCP codes of PTB-XL, such as NORM or IMI, got {', '.join(map(repr, unknown))}.")
    return tuple(table[label.strip()] for label in labels)


def read_label_csv(name: str) -> list[dict[str, str]]:
    """Rows of a table in `labels/`, every cell a string."""
    text = (importlib.resources.files(__package__) / "labels" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _snomed_concept(row: Mapping[str, str]) -> SNOMEDConcept:
    unscored_as_none = {name: row[name] or None for name in ("challenge_2020", "challenge_2021")}
    return SNOMEDConcept(**{**row, **unscored_as_none})


def _native_label(row: Mapping[str, str]) -> NativeLabel:
    return NativeLabel(**_common_fields(row))


def _scp_statement(row: Mapping[str, str]) -> SCPStatement:
    return SCPStatement(
        **_common_fields(row),
        diagnostic=bool(row["diagnostic"]),
        form=bool(row["form"]),
        rhythm=bool(row["rhythm"]),
        superclass=row["superclass"] or None,
        subclass=row["subclass"] or None,
    )


def _wfdb_label(row: Mapping[str, str]) -> WFDBLabel:
    return WFDBLabel(**_common_fields(row), kind=row["kind"], used_by=tuple(row["used_by"].split()))


def _common_fields(row: Mapping[str, str]) -> dict:
    codes = tuple(row["snomed"].split())
    return {"label": row["label"], "name": row["name"], "codes": codes, "source": row["source"], "note": row["note"]}


def _by_key(items: Iterable[Item], key: Callable[[Item], str]) -> Mapping[str, Item]:
    return MappingProxyType({key(item): item for item in items})


__all__ = [
    "CHALLENGE_YEARS",
    "LABEL_SYSTEMS",
    "LABEL_TABLES_VERSION",
    "SUPERCLASSES",
    "ChallengeClass",
    "NativeLabel",
    "SCPStatement",
    "SNOMEDConcept",
    "SNOMEDLabels",
    "WFDBLabel",
    "challenge_classes",
    "challenge_counts",
    "challenge_labels",
    "checked_labels",
    "is_snomed_code",
    "label_table",
    "normalised_label",
    "read_label_csv",
    "scp_statements",
    "snomed_concepts",
    "subclasses",
    "superclasses",
    "to_snomed",
]
