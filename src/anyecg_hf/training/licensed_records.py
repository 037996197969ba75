# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Which records of a folder of public corpora may be trained on, in which fold they are, and what PTB-XL says of them.

PTB-XL folds decide everything: 1-7 train, 8 selects, 9 is reported, 10 is never read. A challenge record `HRnnnnn` is
PTB-XL record nnnnn and has its fold; other copies are found by the fingerprint of the signal.
"""

import ast
import csv
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from anyecg_hf.corpora.label_tables import superclasses
from anyecg_hf.records import find_records

SELECTION_FOLD = 8
REPORT_FOLD = 9
NEVER_READ_FOLD = 10

_PTBXL_NAMES = re.compile(r"HR(\d{5})|(\d{5})_[hl]r")


@dataclass(frozen=True)
class LicensedCorpus:
    """
    A public corpus whose licence allows training with attribution.

    Attributes:
        folder (`str`): Its folder below the data root.
        title (`str`): What the card calls it.
        licence (`str`): Its licence.
        attribution (`str`): Whom to cite.
    """

    folder: str
    title: str
    licence: str
    attribution: str

    @property
    def name(self) -> str:
        """What its records are named by: the folder, for a source of the challenge without `training`."""
        return self.folder.replace("/training/", "/")


def _challenge_source(source: str, title: str, attribution: str) -> LicensedCorpus:
    folder = f"challenge-2021/training/{source}"
    return LicensedCorpus(folder, f"{title}, from Challenge 2021", "CC BY 4.0", f"{attribution}; {_CHALLENGE}")


_CPSC = "Liu et al., CPSC2018 (J. Med. Imaging Health Inform. 2018)"
_CHALLENGE = "Perez Alday et al., PhysioNet/Computing in Cardiology Challenges 2020 and 2021 (Physiol. Meas. 2020)"
LICENSED_CORPORA = (
    LicensedCorpus("ptb-xl", "PTB-XL 1.0.3", "CC BY 4.0", "Wagner et al., PTB-XL (Sci. Data 2020)"),
    _challenge_source("chapman_shaoxing", "Chapman-Shaoxing", "Zheng et al. (Sci. Data 2020)"),
    _challenge_source("cpsc_2018", "CPSC2018", _CPSC),
    _challenge_source("cpsc_2018_extra", "CPSC2018, unused part", _CPSC),
    LicensedCorpus("challenge-2021/training/georgia", "Georgia (G12EC), from Challenge 2021", "CC BY 4.0", _CHALLENGE),
    _challenge_source("ningbo", "Ningbo", "Zheng et al. (Sci. Rep. 2020)"),
    _challenge_source("ptb-xl", "PTB-XL, other copies", "Wagner et al., PTB-XL (Sci. Data 2020)"),
    _challenge_source("ptb", "PTB", "Bousseljot et al. (Biomed. Tech. 1995)"),
    LicensedCorpus("cpsc2018-text-dx", "CPSC2018, from Challenge 2020", "CC BY 4.0", f"{_CPSC}; {_CHALLENGE}"),
    LicensedCorpus(
        "code-15-wfdb",
        "CODE-15% and SaMi-Trop",
        "CC BY 4.0",
        "Ribeiro et al., CODE-15% (Zenodo 4916206); Ribeiro et al., SaMi-Trop (Zenodo 4905618)",
    ),
    LicensedCorpus("ludb", "LUDB 1.0.1", "ODC-By 1.0", "Kalyakulina et al., LUDB (IEEE Access 2020)"),
    LicensedCorpus("challenge-2011", "CinC 2011, set a", "ODC-By 1.0", "Silva et al. (Comput. Cardiol. 2011)"),
    LicensedCorpus("challenge-2017", "CinC 2017", "ODC-By 1.0", "Clifford et al. (Comput. Cardiol. 2017)"),
    LicensedCorpus("mitdb", "MIT-BIH Arrhythmia Database", "ODC-By 1.0", "Moody and Mark (IEEE EMB Mag. 2001)"),
)


@dataclass(frozen=True)
class ListedRecord:
    """
    A record that may be used.

    Attributes:
        path (`Path`): What `read_record` takes.
        corpus (`str`): Name of its corpus.
        fold (`int` or `None`): PTB-XL fold, `None` outside PTB-XL.
        demographics (`tuple[float, float, float]`): Age (years), weight (kg), sex from PTB-XL's table, NaN if unknown.
        superclasses (`tuple[str, ...]` or `None`): PTB-XL diagnostic superclasses, `None` outside PTB-XL.
    """

    path: Path
    corpus: str
    fold: int | None = None
    demographics: tuple[float, float, float] | None = None
    superclasses: tuple[str, ...] | None = None


@dataclass(frozen=True)
class PTBXLRow:
    """What PTB-XL's table says of one record; fields as in [`ListedRecord`]."""

    fold: int
    demographics: tuple[float, float, float]
    superclasses: tuple[str, ...]


def read_ptbxl_table(folder: Path) -> dict[int, PTBXLRow]:
    """
    Reads `ptbxl_database.csv`.

    Every diagnostic statement counts whatever its likelihood: zero means "not given" there, not "absent".

    Args:
        folder (`Path`): Its folder.

    Returns:
        `dict[int, PTBXLRow]`: by `ecg_id`.
    """
    rows = {}
    with open(folder / "ptbxl_database.csv", newline="") as table:
        for row in csv.DictReader(table):
            age = _number(row["age"])
            rows[int(row["ecg_id"])] = PTBXLRow(
                fold=int(row["strat_fold"]),
                # 300 stands for every age above 89.
                demographics=(min(age, 90.0) if age == age else age, _number(row["weight"]), _number(row["sex"])),
                superclasses=superclasses(ast.literal_eval(row["scp_codes"])),
            )
    return rows


def _number(cell: str) -> float:
    return float(cell) if cell else float("nan")


def list_records(root: Path) -> list[ListedRecord]:
    """
    Lists every licensed record under a data root, one entry for each PTB-XL record.

    Of a PTB-XL record the 500 Hz file is taken if it is there, then the 100 Hz file, then the challenge's copy. Headers
    without a signal file are left out.

    Args:
        root (`Path`): Folder with the corpora's folders as [`LICENSED_CORPORA`] names them, `ptb-xl` among them.

    Returns:
        `list[ListedRecord]`: in a fixed order.
    """
    table = read_ptbxl_table(root / "ptb-xl")
    listed: list[ListedRecord] = []
    seen: set[int] = set()
    for corpus in LICENSED_CORPORA:
        folder = root / corpus.folder
        paths = [path for path in find_records(folder) if _has_signal(path)] if folder.is_dir() else []
        for path in sorted(paths, key=lambda path: (path.stem.endswith("_lr"), str(path))):
            ecg_id = _ptbxl_id(path)
            if ecg_id is None:
                listed.append(ListedRecord(path, corpus.name))
            elif ecg_id in table and ecg_id not in seen:
                seen.add(ecg_id)
                row = table[ecg_id]
                listed.append(ListedRecord(path, corpus.name, row.fold, row.demographics, row.superclasses))
    return listed


def _has_signal(path: Path) -> bool:
    return any(path.with_suffix(suffix).exists() for suffix in (".dat", ".mat"))


def _ptbxl_id(path: Path) -> int | None:
    found = _PTBXL_NAMES.fullmatch(path.stem)
    return int(found.group(1) or found.group(2)) if found else None


@dataclass(frozen=True)
class RecordSplits:
    """Records to train on, to select by (PTB-XL fold 8) and to report on (fold 9)."""

    train: list[ListedRecord]
    selection: list[ListedRecord]
    report: list[ListedRecord]


def split_records(listed: Iterable[ListedRecord]) -> RecordSplits:
    """Splits by PTB-XL fold; everything outside PTB-XL trains, and fold 10 is dropped unread."""
    listed = list(listed)
    return RecordSplits(
        train=[entry for entry in listed if entry.fold is None or entry.fold < SELECTION_FOLD],
        selection=[entry for entry in listed if entry.fold == SELECTION_FOLD],
        report=[entry for entry in listed if entry.fold == REPORT_FOLD],
    )


def joint_fingerprint(fingerprints: Iterable[str]) -> str:
    """
    Hash of a set of records, whatever their order.

    Args:
        fingerprints (`Iterable[str]`): Of the records' signals (`corpora.leakage.fingerprints.signal_fingerprint`).

    Returns:
        `str`: hexadecimal digest.
    """
    return hashlib.sha256("".join(sorted(set(fingerprints))).encode()).hexdigest()


def refuse_other_records(fingerprints: Iterable[str], expected: str) -> None:
    """
    Raises if records are not the ones that a checkpoint was trained on.

    Args:
        fingerprints (`Iterable[str]`): Of the records at hand.
        expected (`str`): `training_fingerprint_sha256` of the checkpoint's `provenance.json`.

    Raises:
        `ValueError`: names both joint fingerprints.
    """
    found = joint_fingerprint(fingerprints)
    if found != expected:
        raise ValueError(
            f"the training records found here have the joint fingerprint {found[:16]}, the checkpoint was trained on"
            f" {expected[:16]} (`training_fingerprint_sha256` in provenance.json). Pass the data root of its training;"
            " training_records.json beside it names the records."
        )


def refuse_leaks(train_fingerprints: dict[str, str], held_out_fingerprints: dict[str, str]) -> None:
    """
    Raises if a training record has the signal of a held-out one.

    Args:
        train_fingerprints (`dict[str, str]`), held_out_fingerprints (`dict[str, str]`): fingerprint -> record.

    Raises:
        `ValueError`: names the pairs.
    """
    shared = sorted(train_fingerprints.keys() & held_out_fingerprints.keys())
    if shared:
        pairs = ", ".join(f"{train_fingerprints[key]} = {held_out_fingerprints[key]}" for key in shared[:5])
        raise ValueError(f"{len(shared)} training records are copies of held-out records: {pairs}.")
