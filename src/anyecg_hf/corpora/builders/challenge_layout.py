# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Records in the layout of the PhysioNet Challenges 2020 and 2021: a header with `#Dx:` and a MATLAB file each."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from ..downloads.remote_listings import PhysioNetListing
from ..entries import CorpusEntry, CorpusRecord
from ..files import CorpusFiles
from ..preparation_report import SKIPPED, ReportLine

CHALLENGE_SLUG, CHALLENGE_VERSION = "challenge-2021", "1.0.3"
CHALLENGE_URL = "https://physionet.org/content/challenge-2021/"
# Of the sources that have no publication of their own.
CHALLENGE_CITATION = (
    "Perez Alday et al., Classification of 12-lead ECGs: the PhysioNet/Computing in Cardiology Challenge 2020,"
    " Physiological Measurement 41 (2020) 124003"
)
# What every source is stored with; the first release of 2020 stated others for some.
CHALLENGE_GAIN = 1000.0

_SUFFIXES = (".hea", ".mat", ".dat")


def record_stems(files: CorpusFiles, pattern: str) -> list[PurePosixPath]:
    """
    Records by name, wherever they lie.

    Args:
        files ([`CorpusFiles`]): The files to look through.
        pattern (`str`): What the names look like, for example `"E[0-9][0-9][0-9][0-9][0-9]"`.

    Returns:
        `list[PurePosixPath]`: their paths without suffix, sorted. Signals whose header is missing are among them.
    """
    # Texts are quicker than paths, and there may be a million.
    stems = {path.removesuffix(suffix) for suffix in _SUFFIXES for path in files.matching(f"{pattern}{suffix}")}
    return [PurePosixPath(stem) for stem in sorted(stems)]


def challenge_entries(
    files: CorpusFiles, pattern: str, belongs: Callable[[str], bool] = lambda record_id: True
) -> Iterator[CorpusEntry]:
    """
    Lists the records of one source of the challenge, wherever they lie.

    Args:
        files ([`CorpusFiles`]): Files of the corpus, or of the whole challenge.
        pattern (`str`): What its record names look like, for example `"E[0-9][0-9][0-9][0-9][0-9]"`.
        belongs (`Callable[[str], bool]`, *optional*): Whether a name that looks like it is of this source.

    Returns:
        `Iterator[CorpusEntry]`: labels and patient are left to the headers.
    """
    for stem in record_stems(files, pattern):
        if belongs(stem.name):
            yield CorpusEntry(record_id=stem.name, path=stem.as_posix(), label_system="snomed")


def own_before_copies(own: Iterable[CorpusEntry], copies: Iterable[CorpusEntry]) -> Iterator[CorpusEntry | ReportLine]:
    """
    Joins records in a corpus's own layout with their copies in the challenge, which have the same number in their name.

    Args:
        own (`Iterable[CorpusEntry]`): Records such as `I01`.
        copies (`Iterable[CorpusEntry]`): Records such as `I0001`.

    Returns:
        `Iterator[CorpusEntry | ReportLine]`: all of the first; of the second those that are no copies, and for those
        that are, a line that says so.
    """
    originals: dict[int, CorpusEntry] = {}
    for entry in own:
        originals.setdefault(record_number(entry.record_id), entry)
        yield entry
    for copy in copies:
        original = originals.get(record_number(copy.record_id))
        yield (
            copy
            if original is None
            else ReportLine(copy.record_id, copy.path, SKIPPED, f"the challenge's copy of {original.path}")
        )


def record_number(record_id: str) -> int:
    """The first number in the name of a record."""
    return int(re.search(r"\d+", record_id)[0])


def with_gain_note(record: CorpusRecord, faulty_gain: float) -> CorpusRecord:
    """
    Notes the gain that a source had by mistake in the first release of the Challenge 2020. Nothing is corrected.

    Args:
        record ([`CorpusRecord`]): A record of that source.
        faulty_gain (`float`): Steps in one mV.

    Returns:
        [`CorpusRecord`]: the same, with a note if it has this gain.
    """
    if not (record.signal.gain == faulty_gain).any():
        return record
    note = (
        f"the gain is {faulty_gain:g}/mV, as in the faulty first release of the Challenge 2020, where"
        f" {CHALLENGE_GAIN:g} was meant: amplitudes are probably {CHALLENGE_GAIN / faulty_gain:.3g} times what they"
        " should be"
    )
    return replace(record, notes=(*record.notes, note))


def challenge_listing(source: str, base_url: str | None) -> PhysioNetListing:
    """
    Where a source can be downloaded.

    Args:
        source (`str`): Its folder in the challenge.
        base_url (`str`, *optional*): In place of the official site.

    Returns:
        [`PhysioNetListing`]
    """
    include = (f"training/{source}/*/*.hea", f"training/{source}/*/*.mat")
    return PhysioNetListing(CHALLENGE_SLUG, CHALLENGE_VERSION, include=include, base_url=base_url)


__all__ = [
    "CHALLENGE_CITATION",
    "CHALLENGE_SLUG",
    "CHALLENGE_URL",
    "CHALLENGE_VERSION",
    "challenge_entries",
    "challenge_listing",
    "own_before_copies",
    "record_number",
    "record_stems",
    "with_gain_note",
]
