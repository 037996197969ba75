# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Copies that are known to be among the real records are found, and nothing else is."""

import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tests.corpora.leakage.recordings import LEADS

from anyecg_hf.corpora.leakage.fingerprints import Fingerprint, SignalSketch, fingerprint
from anyecg_hf.corpora.leakage.near_duplicates import find_near_duplicates
from anyecg_hf.records import ECGRecord, MissingFileError, find_records, read_record

SOURCES = (
    *("ptb-xl/records500", "cpsc2018-text-dx", "ludb/data", "mitdb", "cpsc2021", "ptbdb", "challenge-2021/training"),
    *("code-15-wfdb", "challenge-2017/training2017"),
)
# PTB's challenge copies have other numbers, and are rounded.
PTB_COPIES = {frozenset(("s0010_re", "S0001")), frozenset(("s0017lre", "S0005"))}


@dataclass(frozen=True)
class Printed:
    """A real record and its fingerprint."""

    path: Path
    fingerprint: Fingerprint

    @property
    def number(self) -> str:
        """PTB-XL's number of it, or its path."""
        found = re.fullmatch(r"HR(\d{5})|(\d{5})_[hl]r", self.path.name)
        return (found[1] or found[2]) if found else str(self.path)


def read_quietly(path: Path) -> ECGRecord:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return read_record(path)


def printed(path: Path) -> Printed | None:
    try:
        record = read_quietly(path)
    except MissingFileError:  # headers without signals
        return None
    return Printed(path, fingerprint(record.signal_mv, record.lead_names, record.sampling_rate))


@pytest.fixture(scope="module")
def records(records_dir: Path) -> list[Printed]:
    """Records of every corpus, and PTB-XL's 500 Hz records at 100 Hz too."""
    paths = [
        path for source in SOURCES if (records_dir / source).is_dir() for path in find_records(records_dir / source)
    ]
    at_500_hz = {path.name.removesuffix("_hr") for path in paths}
    at_100_hz = [path for path in find_records(records_dir / "ptb-xl") if path.name.removesuffix("_lr") in at_500_hz]
    copies = [path for path in find_records(records_dir / "ptb-xl") if path.name == "00599_lr"]
    return [found for path in (*paths, *at_100_hz, *copies) if (found := printed(path)) is not None]


def test_equal_samples_are_those_of_the_challenge_and_ptb_xl(records):
    groups: dict[str, set[str]] = {}
    for record in records:
        if record.fingerprint.exact is not None:
            groups.setdefault(record.fingerprint.exact, set()).add(record.path.name)
    copies = {frozenset(names) for names in groups.values() if len(names) > 1}
    assert copies == {frozenset((f"HR{number:05d}", f"{number:05d}_hr")) for number in (1, 2, 3, 4, 5, 6, 7, 8, 10)}


def test_every_known_copy_is_found_and_no_other(records):
    found = find_near_duplicates([record.fingerprint.sketch for record in records])
    pairs = {frozenset((pair.first, pair.second)) for pair in found}
    numbers: dict[str, list[int]] = {}
    for position, record in enumerate(records):
        numbers.setdefault(record.number, []).append(position)
    known = {frozenset((one, other)) for same in numbers.values() for one in same for other in same if one < other}
    others = {frozenset(records[position].path.name for position in pair) for pair in pairs - known}
    assert len(known) > 280
    assert known - pairs == set()
    assert others == PTB_COPIES
    assert {round(pair.similarity.shift_s, 1) for pair in found} == {0.0}


def test_a_gain_five_times_too_large_does_not_hide_a_copy(records):
    by_name = {record.path.name: record for record in records}
    copy, original = by_name["HR00599"], by_name["00599_lr"]
    (found,) = find_near_duplicates([copy.fingerprint.sketch, original.fingerprint.sketch])
    assert found.similarity.correlation > 0.998


@pytest.mark.parametrize("lead", ["I", "II", "V1", "V5"])
def test_single_leads_of_different_records_are_no_copies(records, lead):
    numbers: set[str] = set()
    sketches = []
    for record in records:
        if "challenge-2021/training/ptb/" in record.path.as_posix():
            continue
        sketch = record.fingerprint.sketch
        if sketch is not None and lead in sketch.lead_names and record.number not in numbers:
            numbers.add(record.number)
            levels = sketch.levels[[sketch.lead_names.index(lead)]]
            sketches.append(SignalSketch(levels, (lead,), sketch.start_s))
    assert len(sketches) > 500
    assert find_near_duplicates(sketches) == []


def test_flat_records_have_no_fingerprint(records_dir):
    flat = []
    for path in find_records(records_dir / "challenge-2011"):
        record = read_quietly(path)
        found = fingerprint(record.signal_mv, record.lead_names, record.sampling_rate)
        is_flat = not np.diff(record.signal_mv).any()
        assert (found.exact is None, found.sketch is None) == (is_flat, is_flat), path.name
        flat += [path.name] * is_flat
    assert len(flat) == 11


def test_copies_of_real_records_are_found_when_cut_resampled_and_reduced(records, records_dir):
    from anyecg_hf.models.anyecg.signal_anyecg import resample

    sample = [record for record in records if record.path.name.endswith("_hr")][::12]
    originals = [read_quietly(record.path) for record in sample]
    copies = []
    for original in originals:
        piece = original.signal_mv[[0, 1, 7], 911:4407]
        rounded = np.rint(resample(4.88 * piece, 500, 250) / 0.01) * 0.01
        copies.append(fingerprint(rounded, [LEADS[lead] for lead in (0, 1, 7)], 250).sketch)
    found = find_near_duplicates([*(record.fingerprint.sketch for record in sample), *copies])
    pairs = {(pair.first, pair.second) for pair in found}
    assert pairs <= {(number, len(sample) + number) for number in range(len(sample))}
    assert len(pairs) >= 0.9 * len(sample)
