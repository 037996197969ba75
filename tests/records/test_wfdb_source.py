# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""WFDB records read piece by piece: every format at every offset, frames, skews, segments, and memory."""

import itertools
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import wfdb

from anyecg_hf.records import RecordError, open_record, read_record, wfdb_source

N_FRAMES = 61
OFFSETS = (0, 1, 2, 3, 7, 30, 59, 60, 61, 62, 121, 122)
# By format: largest sample that all its bits can hold.
LARGEST = {"8": 60, "80": 127, "212": 2047, "310": 511, "311": 511, "16": 32767, "61": 32767, "160": 32767}
LARGEST |= {"24": (1 << 23) - 1, "32": (1 << 31) - 1, "508": 127, "516": 32767, "524": (1 << 23) - 1}


def pack_tens(samples: np.ndarray, is_310: bool) -> bytes:
    """10-bit samples, three in four bytes, as formats 310 and 311 have them."""
    padded = np.pad(samples, (0, -len(samples) % 3)).astype(np.int64) & 0x3FF
    one, two, three = padded.reshape(-1, 3).T
    if is_310:
        words = np.stack([(one << 1) | ((three & 0x1F) << 11), (two << 1) | ((three >> 5) << 11)], axis=1)
        return words.astype("<u2").tobytes()
    return (one | two << 10 | three << 20).astype("<u4").tobytes()


def pack(format_: str, frames: np.ndarray) -> bytes:
    """Samples of shape `(frames, samples in a frame)` as the bytes of a signal file."""
    samples = frames.reshape(-1).astype(np.int64)
    if format_ == "212":
        one, two = (np.pad(samples, (0, -len(samples) % 2)) & 0xFFF).reshape(-1, 2).T
        return np.stack([one & 0xFF, one >> 8 | two >> 8 << 4, two & 0xFF], axis=1).astype("u1").tobytes()
    if format_ == "24":
        return samples.astype("<i4").view("u1").reshape(-1, 4)[:, :3].tobytes()
    if format_ in ("310", "311"):
        return pack_tens(samples, format_ == "310")
    types = {"80": ("u1", 128), "160": ("<u2", 32768), "61": (">i2", 0), "16": ("<i2", 0), "32": ("<i4", 0)}
    dtype, shift = types[format_]
    return (samples + shift).astype(dtype).tobytes()


def pack_differences(signals: list[np.ndarray], widths: list[int], initial: int) -> bytes:
    """Format 8: of each signal the step from its sample before, frame by frame."""
    steps = [np.diff(signal, prepend=initial).reshape(-1, width) for signal, width in zip(signals, widths, strict=True)]
    return np.concatenate(steps, axis=1).astype("i1").tobytes()


def write(folder: Path, format_: str, widths: list[int], *, skews=(0, 0)) -> list[np.ndarray]:
    """A record of signals I and V1 with so many samples in a frame; returns the samples of both."""
    generator, largest = np.random.default_rng(1), LARGEST[format_]
    frames = generator.integers(-largest, largest + 1, (N_FRAMES, sum(widths)))
    signals = [part.reshape(-1) for part in np.split(frames, np.cumsum(widths)[:-1], axis=1)]
    if format_ in ("508", "516", "524"):
        digital = [np.ascontiguousarray(signal) for signal in signals]
        fields = {"fmt": [format_] * 2, "adc_gain": [1000.0] * 2, "baseline": [0, 0], "samps_per_frame": widths}
        wfdb.wrsamp(
            "rec", fs=500, units=["mV"] * 2, sig_name=["I", "V1"], e_d_signal=digital, write_dir=str(folder), **fields
        )
        return signals
    if format_ == "8":
        signals = [np.clip(np.cumsum(signal), -30000, 30000) for signal in signals]
        data = pack_differences(signals, widths, -5)
    else:
        data = pack(format_, frames)
    (folder / "rec.dat").write_bytes(data)
    lines = [
        f"rec.dat {format_}x{width}:{skew} 1000/mV 16 0 -5 0 0 {name}"
        for name, width, skew in zip(("I", "V1"), widths, skews, strict=False)
    ]
    (folder / "rec.hea").write_text("\n".join([f"rec {len(widths)} 500 {N_FRAMES}", *lines, ""]))
    return signals


def check_every_range(source, whole: np.ndarray) -> None:
    for start, stop in itertools.combinations_with_replacement([n for n in OFFSETS if n <= source.n_samples], 2):
        piece = source.read(start, stop)
        assert piece.dtype == np.float32 and piece.flags["C_CONTIGUOUS"] and piece.flags["WRITEABLE"]
        np.testing.assert_array_equal(piece, whole[:, start:stop], err_msg=f"{start} to {stop}")


@pytest.mark.parametrize("widths", [[1, 1], [2, 2], [1], [3]], ids=str)
@pytest.mark.parametrize("format_", LARGEST)
def test_every_format_reads_alike_in_pieces_and_whole(tmp_path, monkeypatch, format_, widths):
    monkeypatch.setattr(wfdb_source, "_FRAMES_PER_SUM", 16)
    if format_.startswith("5") and len(widths) == 1:
        widths = widths * 2
    signals = write(tmp_path, format_, widths)
    expected = np.stack(signals) / 1000
    whole = read_record(tmp_path / "rec").signal_mv
    np.testing.assert_allclose(whole, expected, rtol=1e-6)
    with open_record(tmp_path / "rec") as source:
        assert source.n_samples == N_FRAMES * widths[0]
        check_every_range(source, whole)
        np.testing.assert_array_equal(np.concatenate(list(source.blocks(0.02)), axis=1), whole)


@pytest.mark.parametrize("format_", ["16", "212", "8", "310"])
def test_frames_of_several_rates_are_cut_where_the_leads_samples_are(tmp_path, monkeypatch, format_):
    monkeypatch.setattr(wfdb_source, "_FRAMES_PER_SUM", 16)
    signals = write(tmp_path, format_, [2, 1])
    header = tmp_path / "rec.hea"
    header.write_text(header.read_text().replace("V1", "pressure"))
    with pytest.warns(UserWarning, match=r"another rate than the ECG leads \(1000 Hz\): 'pressure' \(500 Hz\)"):
        source = open_record(tmp_path / "rec")
    assert (source.lead_names, source.sampling_rate) == (("I",), 1000.0)
    check_every_range(source, (signals[0][None] / 1000).astype(np.float32))


@pytest.mark.parametrize("skews", [(0, 5), (3, 5), (0, 61)], ids=str)
@pytest.mark.parametrize("widths", [[1, 1], [2, 2]], ids=str)
@pytest.mark.parametrize("format_", ["16", "212", "8"])
def test_skewed_signals_are_aligned_in_every_piece(tmp_path, format_, widths, skews):
    signals = write(tmp_path, format_, widths, skews=skews)
    expected = np.full((2, N_FRAMES * widths[0]), np.nan, dtype=np.float32)
    for row, signal, skew in zip(expected, signals, skews, strict=True):
        kept = signal[skew * widths[0] :] / 1000
        row[: len(kept)] = kept
    np.testing.assert_array_equal(read_record(tmp_path / "rec").signal_mv, expected)
    with open_record(tmp_path / "rec") as source:
        check_every_range(source, expected)


def test_invalid_samples_are_missing_in_every_piece(write_wfdb, counts):
    with open_record(write_wfdb(counts)) as source:
        assert np.argwhere(np.isnan(source.read(5, 20))).tolist() == [[1, 2]]
        assert not np.isnan(source.read(8, 300)).any()


@pytest.fixture
def segments(write_wfdb, counts):
    """Record `all`: a layout, 100 samples of both leads in another order, a gap of 50, and 200 samples of lead II."""
    folder = write_wfdb(counts[::-1, :100], name="s1", leads=["II", "I"]).parent
    write_wfdb(counts[1:, 100:], name="s2", leads=["II"], record_line="s2.x 1 500 200")
    lay = ["lay 2 500 0", *[f"~ 0 1000/mV 0 0 0 0 0 {name}" for name in ("I", "II")]]
    (folder / "lay.hea").write_text("\n".join(lay))
    (folder / "all.hea").write_text("all/4 2 500 350\nlay 0\ns1 100\n~ 50\ns2 200\n")
    expected = np.full((2, 350), np.nan, dtype=np.float32)
    expected[:, :100] = counts[:, :100] / 1000
    expected[1, 150:] = counts[1, 100:] / 1000
    expected[1, 7] = np.nan
    return folder / "all", expected


def test_pieces_across_segments_and_gaps_are_those_of_the_whole(segments):
    path, expected = segments
    np.testing.assert_array_equal(read_record(path).signal_mv, expected)
    with open_record(path) as source:
        for start, stop in itertools.combinations([0, 1, 99, 100, 101, 149, 150, 151, 349, 350], 2):
            np.testing.assert_array_equal(source.read(start, stop), expected[:, start:stop])


def test_only_the_frames_asked_for_are_read(segments, monkeypatch):
    asked = []
    read = np.fromfile

    def spy(path, *, dtype, count, offset):
        asked.append((path.name, offset, count))
        return read(path, dtype=dtype, count=count, offset=offset)

    monkeypatch.setattr(np, "fromfile", spy)
    path, _ = segments
    with open_record(path) as source:
        assert asked == []
        source.read(90, 95)
        source.read(110, 140)
        source.read(95, 160)
        assert asked == [("s1.dat", 90 * 4, 5 * 2), ("s1.dat", 95 * 4, 5 * 2), ("s2.dat", 0, 10)]


def test_only_the_frames_asked_for_are_decoded_by_wfdb(write_wfdb, counts, monkeypatch):
    asked = []
    decode = wfdb.rdrecord

    def spy(record_name, **kwargs):
        asked.append((kwargs["sampfrom"], kwargs["sampto"], kwargs["channels"]))
        return decode(record_name, **kwargs)

    monkeypatch.setattr(wfdb, "rdrecord", spy)
    with open_record(write_wfdb(counts, layout="160")) as source:
        assert asked == []
        source.read(90, 95)
        source.read(110, 140)
        assert asked == [(90, 95, [0, 1]), (110, 140, [0, 1])]


def test_a_day_takes_no_more_memory_than_a_block(tmp_path):
    # A day of three leads at 250 Hz, 130 MB of zeros that take no place on the disk.
    n_samples = 24 * 3600 * 250
    lines = [f"rec.dat 16 1000(-5)/mV 16 0 0 0 0 {name}" for name in ("I", "II", "V1")]
    (tmp_path / "rec.hea").write_text("\n".join([f"rec 3 250 {n_samples}", *lines, ""]))
    with open(tmp_path / "rec.dat", "wb") as file:
        file.truncate(n_samples * 6)
    with open_record(tmp_path / "rec") as source:
        assert source.duration_s == 86400.0
        source.read(0, 10)  # what wfdb imports is no memory of ours
        tracemalloc.start()
        for block, _ in zip(source.blocks(60.0), range(3), strict=False):
            assert block.shape == (3, 15000) and (block == np.float32(0.005)).all()
        assert source.read(n_samples - 15000, n_samples).shape == (3, 15000)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 5e6


def test_differences_are_added_up_once_and_in_bounded_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(wfdb_source, "_FRAMES_PER_SUM", 16)
    write(tmp_path, "8", [1, 1])
    spans = []
    decode = wfdb.rdrecord

    def spy(record_name, **kwargs):
        spans.append((kwargs["sampfrom"], kwargs["sampto"]))
        return decode(record_name, **kwargs)

    monkeypatch.setattr(wfdb, "rdrecord", spy)
    with open_record(tmp_path / "rec") as source:
        source.read(50, 55)
        source.read(51, 56)
    assert spans == [(0, 16), (16, 32), (32, 48), (48, 55), (48, 56)]


def test_the_plain_copy_of_an_odd_header_is_made_once_and_removed_on_closing(write_wfdb, counts, tmp_path, monkeypatch):
    places = tmp_path / "places"
    places.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(places))
    path = write_wfdb(counts, record_line="rec.x 2 500 300", layout="160")
    with open_record(path) as source:
        assert list(places.iterdir()) == []
        source.read(0, 10)
        (place,) = places.iterdir()
        source.read(10, 20)
        assert list(places.iterdir()) == [place]
    assert list(places.iterdir()) == []
    read_record(path)
    assert list(places.iterdir()) == []


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("16", r"rec\.dat: expected samples of frames 0 to 10, found 0 of them"),
        ("160", r"rec\.hea: expected a record that wfdb can decode.*rec\.dat"),
    ],
)
def test_a_file_cut_after_opening_is_an_error_and_not_zeros(write_wfdb, counts, layout, message):
    path = write_wfdb(counts, layout=layout)
    with open_record(path) as source:
        path.with_suffix(".dat").write_bytes(b"")
        with pytest.raises(RecordError, match=message):
            source.read(0, 10)


def test_a_file_removed_after_opening_is_an_error_that_names_it(write_wfdb, counts):
    path = write_wfdb(counts)
    with open_record(path) as source:
        path.with_suffix(".dat").unlink()
        with pytest.raises(RecordError, match=r"rec\.dat: expected a signal file that can be read, found this: No"):
            source.read(0, 10)


def test_signals_of_several_formats_stand_side_by_side(tmp_path):
    formats = {"I": "61", "II": "212", "III": "8", "aVR": "16", "aVL": "24"}
    signals = np.random.default_rng(1).integers(-60, 61, (5, 1, N_FRAMES)).cumsum(axis=2)
    for (name, format_), signal in zip(formats.items(), signals, strict=True):
        data = pack_differences(list(signal), [1], -5) if format_ == "8" else pack(format_, signal.T)
        (tmp_path / f"{name}.dat").write_bytes(data)
    lines = [f"{name}.dat {format_} 1000/mV 16 0 -5 0 0 {name}" for name, format_ in formats.items()]
    (tmp_path / "rec.hea").write_text("\n".join([f"rec 5 500 {N_FRAMES}", *lines]))
    with open_record(tmp_path / "rec") as source:
        np.testing.assert_array_equal(source.read_stored(7, 50).samples, signals[:, 0, 7:50])


def test_leads_with_different_frames_need_a_stated_rate(tmp_path):
    write(tmp_path, "16", [2, 1])
    (tmp_path / "rec.hea").write_text("rec 2\nrec.dat 16x2 1000/mV 16 0 0 0 0 I\nrec.dat 16 1000/mV 16 0 0 0 0 V1\n")
    with pytest.raises(RecordError, match="expected a number of frames a second on the first line.*found none"):
        open_record(tmp_path / "rec", sampling_rate=500)
