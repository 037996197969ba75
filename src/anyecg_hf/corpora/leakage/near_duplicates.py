# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Finds recordings that are the same in part or whole, among a million of them, by their sketches.

Every beat of every lead is a landmark: two seconds of the lead around it, as seen from the beat, give four numbers of
56 bits, signs of random projections. Copies have some of these numbers in common, all at one shift in time, wherever
they were cut; sorting finds them, so that only records which share a few are compared sample by sample.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
from scipy.ndimage import map_coordinates, maximum_filter1d, spline_filter1d, uniform_filter1d
from tqdm import tqdm

from .fingerprints import SKETCH_RATE_HZ, SignalSketch
from .sketch_comparison import Similarity, compare_sketches

_WINDOW_S = (-0.25, 1.75)
# The beat itself is the same in all of a patient's recordings: what it is surrounded by tells them apart.
_BEAT_S = 0.1
_BEAT_DISTANCE_S = 0.24
# Mean square over 100 ms, in units of the lead's usual peak.
_LEAST_ENERGY = 0.1
_TABLES = 4
_BITS = 56

_SHIFT_TOLERANCE_S = 0.08
# Landmarks that two records must share at one shift, and how many where one of them has few landmarks in all.
_VOTES, _FEW_VOTES, _FEW_LANDMARKS = 3, 2, 40
# Shifts tried for one pair: regular rhythms fit at more than one.
_MOST_SHIFTS = 3
# Of the landmarks with one number, each is held against so many others, which bounds the work that odd signals cause.
_MOST_NEIGHBOURS = 24
# Bounds the memory for matches.
_BLOCK_RECORDS = 20_000


@dataclass(frozen=True)
class NearDuplicate:
    """
    Two records that hold the same recording, in part or whole.

    Attributes:
        first (`int`), second (`int`): Their positions in the list that was searched; `first < second`.
        similarity ([`Similarity`]): How alike they are, and where.
    """

    first: int
    second: int
    similarity: Similarity


@dataclass(frozen=True)
class _Landmarks:
    """Landmarks of many records, all arrays of one length."""

    record: np.ndarray  # position of the record in the list, int64, ascending
    time_s: np.ndarray  # in the record, float64
    keys: np.ndarray  # (landmarks, tables) uint64


@dataclass(frozen=True)
class _SharedKeys:
    """The landmarks whose number in one table another landmark has too, sorted by number, then record."""

    landmark: np.ndarray
    record: np.ndarray
    key: np.ndarray


@dataclass(frozen=True)
class _Candidate:
    """Two records to compare, and the shifts in time at which they share landmarks, most shared first."""

    first: int
    second: int
    shifts_s: tuple[float, ...]


def find_near_duplicates(sketches: Sequence[SignalSketch | None], show_progress: bool = False) -> list[NearDuplicate]:
    """
    Finds the pairs of records that hold the same recording, whatever their rate, gain, baseline, leads and ends.

    Records are compared only if they share landmarks, which few others do: hardly one pair in ten thousand. Sketch and
    landmarks of ten seconds of twelve leads take about 10 kB, so that a million of them fit into one machine.

    Args:
        sketches (`Sequence[SignalSketch | None]`): From [`signal_sketch`]; records without one match nothing.
        show_progress (`bool`, *optional*, defaults to `False`): Whether to show a progress bar.

    Returns:
        `list[NearDuplicate]`: sorted. Of more than two dozen copies of one recording not every pair is named, but each
        copy with some of the others.
    """
    found = []
    marks = _landmarks_of_all(sketches, show_progress)
    for candidate in tqdm(_candidates(marks), desc="compare", unit="pair", disable=not show_progress):
        first, second = sketches[candidate.first], sketches[candidate.second]
        for shift_s in candidate.shifts_s:
            similarity = compare_sketches(first, second, shift_s)
            if similarity is not None and similarity.is_copy:
                found.append(NearDuplicate(candidate.first, candidate.second, similarity))
                break
    return sorted(found, key=lambda pair: (pair.first, pair.second))


def _landmarks_of_all(sketches: Sequence[SignalSketch | None], show_progress: bool = False) -> _Landmarks:
    nothing = _Landmarks(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros((0, _TABLES), dtype=np.uint64))
    numbered = tqdm(enumerate(sketches), desc="landmarks", total=len(sketches), disable=not show_progress)
    parts = [_landmarks(sketch, position) for position, sketch in numbered if sketch is not None]
    return _Landmarks(
        *(np.concatenate([getattr(part, field.name) for part in (nothing, *parts)]) for field in fields(_Landmarks))
    )


def _landmarks(sketch: SignalSketch, position: int) -> _Landmarks:
    samples = sketch.samples()
    energy = uniform_filter1d(samples * samples, 5, axis=1, mode="constant")
    reach = 2 * round(_BEAT_DISTANCE_S * SKETCH_RATE_HZ) + 1
    peaks = (energy == maximum_filter1d(energy, reach, axis=1)) & (energy > _LEAST_ENERGY)
    before, after = (round(end * SKETCH_RATE_HZ) for end in _WINDOW_S)
    # Room for the window and for its interpolation.
    peaks[:, : 4 - before] = peaks[:, max(0, peaks.shape[1] - after - 4) :] = False
    lead, at = np.nonzero(peaks)
    offsets = np.arange(-4, 5)
    around = energy[lead[:, None], at[:, None] + offsets]
    around -= around.min(axis=1, keepdims=True)
    weight = around.sum(axis=1)
    distinct = weight > 0
    lead, at = lead[distinct], at[distinct] + (around[distinct] @ offsets) / weight[distinct]
    windows = _interpolate(samples, lead, at[:, None] + np.arange(before, after))
    beat = round(_BEAT_S * SKETCH_RATE_HZ)
    windows[:, -before - beat : -before + beat + 1] = 0
    salts = np.array([_salt(name) for name in sketch.lead_names], dtype=np.uint64)
    return _Landmarks(
        np.full(len(at), position, dtype=np.int64),
        at / SKETCH_RATE_HZ + sketch.start_s,
        _keys(windows) ^ salts[lead, None],
    )


def _interpolate(samples: np.ndarray, lead: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Values of the leads `(landmarks,)` at fractional samples `(landmarks, points)`."""
    smooth = spline_filter1d(samples, 3, axis=1).ravel()  # one axis, lest neighbouring leads mix
    return map_coordinates(smooth, (lead[:, None] * samples.shape[1] + at)[None], order=3, prefilter=False)


def _keys(windows: np.ndarray) -> np.ndarray:
    """Signs of random projections as bits; `(windows, points)` -> `(windows, tables)` uint64."""
    # Compressed, so that the little between the beats counts too.
    compressed = np.sign(windows) * np.abs(windows) ** 0.7
    bits = compressed @ _projections(windows.shape[1]) > 0
    return bits.reshape(len(windows), _TABLES, _BITS) @ (np.uint64(1) << np.arange(_BITS, dtype=np.uint64))


@lru_cache(maxsize=1)
def _projections(points: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((points, _TABLES * _BITS), dtype=np.float32)


@lru_cache(maxsize=64)
def _salt(lead_name: str) -> int:
    """Keeps the landmarks of different leads apart."""
    return int.from_bytes(hashlib.blake2b(lead_name.encode(), digest_size=8).digest(), "little")


def _candidates(marks: _Landmarks) -> Iterator[_Candidate]:
    if not len(marks.record):
        return
    tables = [_shared_keys(marks, table) for table in range(_TABLES)]
    counts = np.bincount(marks.record)
    for start in range(0, len(counts), _BLOCK_RECORDS):
        matches = [_matches(shared, start, start + _BLOCK_RECORDS) for shared in tables]
        one, other = np.concatenate(matches, axis=1)
        first, second = marks.record[one], marks.record[other]
        few = np.minimum(counts[first], counts[second]) < _FEW_LANDMARKS
        yield from _shared_shifts(
            first * len(counts) + second,
            marks.time_s[one] - marks.time_s[other],
            np.where(few, _FEW_VOTES, _VOTES),
            len(counts),
        )


def _shared_keys(marks: _Landmarks, table: int) -> _SharedKeys:
    order = np.argsort(marks.keys[:, table], kind="stable")
    key, record = marks.keys[order, table], marks.record[order]
    # Two of a record are enough: long regular rhythms have thousands.
    kept = np.ones(len(key), dtype=bool)
    kept[2:] = (key[2:] != key[:-2]) | (record[2:] != record[:-2])
    order, key, record = order[kept], key[kept], record[kept]
    same = np.concatenate(([False], key[1:] == key[:-1], [False]))
    shared = same[1:] | same[:-1]
    return _SharedKeys(order[shared], record[shared], key[shared])


def _matches(shared: _SharedKeys, start: int, stop: int) -> np.ndarray:
    """Pairs of landmarks with one number in different records, the first in `start <= record < stop`; `(2, pairs)`."""
    at = np.flatnonzero((shared.record >= start) & (shared.record < stop))
    found = [np.zeros((2, 0), dtype=np.int64)]
    for step in range(1, _MOST_NEIGHBOURS + 1):
        at = at[at + step < len(shared.key)]
        at = at[shared.key[at] == shared.key[at + step]]
        others = at[shared.record[at] != shared.record[at + step]]
        found.append(np.stack((shared.landmark[others], shared.landmark[others + step])))
    return np.concatenate(found, axis=1)


def _shared_shifts(pair: np.ndarray, shift_s: np.ndarray, needed: np.ndarray, n_records: int) -> Iterator[_Candidate]:
    """Of every pair that shares as many landmarks as needed at one shift: the shifts with most of them."""
    order = np.lexsort((shift_s, pair))
    pair, shift_s, needed = pair[order], shift_s[order], needed[order]
    if not len(pair):
        return
    # One axis on which the pairs lie far apart.
    _, number = np.unique(pair, return_inverse=True)
    axis = number * (np.ptp(shift_s) + 1.0) + shift_s
    last = np.searchsorted(axis, axis + _SHIFT_TOLERANCE_S, side="right") - 1
    votes = last - np.arange(len(axis)) + 1
    enough = np.flatnonzero(votes >= needed)
    middle_s = shift_s[(enough + last[enough]) // 2]
    bounds = np.flatnonzero(np.diff(pair[enough], prepend=-1, append=-1))
    for begin, end in zip(bounds[:-1], bounds[1:], strict=True):
        chosen: list[float] = []
        for index in begin + np.argsort(-votes[enough[begin:end]], kind="stable"):
            if len(chosen) < _MOST_SHIFTS and all(
                abs(middle_s[index] - other) > _SHIFT_TOLERANCE_S for other in chosen
            ):
                chosen.append(float(middle_s[index]))
        first, second = divmod(int(pair[enough[begin]]), n_records)
        yield _Candidate(first, second, tuple(chosen))


__all__ = ["NearDuplicate", "find_near_duplicates"]
