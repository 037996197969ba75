# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""WFDB records: every signal format, units and gains, odd headers, and files that are missing or cut."""

import sys
from datetime import datetime

import numpy as np
import pytest
import wfdb

from anyecg_hf.records import Annotation, MissingFileError, RecordError, TruncatedFileError, UnsafeHeaderError
from anyecg_hf.records import read_record as read


def millivolts(samples: np.ndarray, gain: float = 1000.0) -> np.ndarray:
    return np.where(samples == -32768, np.nan, samples / gain)


def waves() -> np.ndarray:
    times = np.arange(1001) / 500
    return np.stack([np.sin(2 * np.pi * 5 * times), 0.5 * np.cos(9 * times)], axis=1)


@pytest.fixture
def two_segments(write_wfdb, counts):
    """Segments `s1` (100 samples) and `s2` (200); returns the folder."""
    write_wfdb(counts[:, :100], name="s1")
    return write_wfdb(counts[:, 100:], name="s2").parent


@pytest.mark.parametrize("suffix", ["", ".hea", ".dat"])
@pytest.mark.parametrize("kind", [str, lambda path: path], ids=["str", "Path"])
def test_a_record_reads_by_any_of_its_names(write_wfdb, counts, suffix, kind):
    path = write_wfdb(counts)
    record = read(kind(path.with_suffix(suffix)))
    np.testing.assert_allclose(record.signal_mv, millivolts(counts), atol=1e-6)
    assert (record.sampling_rate, record.lead_names, record.record_id) == (500.0, ("I", "II"), "rec")
    assert record.source == str(path.with_suffix(".hea"))


def test_a_matlab_signal_file_with_its_offset_reads_by_any_of_its_names(write_wfdb, counts):
    path = write_wfdb(counts, data_file="rec.mat", layout="16+24", record_line="rec 2 500 300 12-May-2020 12:33:59")
    for name in (path, path.with_suffix(".mat"), path.with_suffix(".hea")):
        record = read(name)
        np.testing.assert_allclose(record.signal_mv, millivolts(counts), atol=1e-6)
        assert record.recorded_at == datetime(2020, 5, 12, 12, 33, 59)


def test_a_suffix_in_the_record_name_of_the_first_line_does_no_harm(write_wfdb, counts):
    path = write_wfdb(counts, name="E00001", data_file="E00001.mat", layout="16+24", record_line="E00001.mat 2 500 300")
    record = read(path)
    np.testing.assert_allclose(record.signal_mv, millivolts(counts), atol=1e-6)
    assert record.record_id == "E00001"


@pytest.mark.parametrize(
    "record_line",
    ["rec 2 500 300 99:99:99 99/99/2020", "rec 2 500", "rec 2 500 0", "rec 2 500.0/250(0) 300", "rec 2 500 300 12:00"],
)
def test_odd_record_lines_lose_nothing(write_wfdb, counts, record_line):
    record = read(write_wfdb(counts, record_line=record_line))
    np.testing.assert_allclose(record.signal_mv, millivolts(counts), atol=1e-6)
    assert (record.sampling_rate, record.recorded_at) == (500.0, None)


def test_odd_file_and_lead_names_lose_nothing(write_wfdb, counts):
    path = write_wfdb(counts, name="a.b", data_file="a+b.v2.raw", gains="1E3/mV", leads=["I", "lead ii"])
    for name in (path, path.with_name("a.b.hea")):
        record = read(name)
        np.testing.assert_allclose(record.signal_mv, millivolts(counts), atol=1e-6)
        assert record.lead_names == ("I", "II") and record.record_id == "a.b"


def test_a_signal_file_with_any_suffix_leads_to_the_header_that_names_it(write_wfdb, counts):
    path = write_wfdb(counts, data_file="rec.xyz")
    np.testing.assert_allclose(read(path.with_suffix(".xyz")).signal_mv, millivolts(counts), atol=1e-6)


@pytest.mark.parametrize("format_", ["80", "212", "16", "24", "32", "508", "516", "524"])
def test_every_format_that_wfdb_writes_reads_to_half_a_step(tmp_path, format_):
    signal, gains, baselines = waves(), [100.0, 90.0], [0, 3]
    wfdb.wrsamp(
        "rec",
        fs=500,
        units=["mV", "uV"],
        sig_name=["I", "V1"],
        p_signal=signal,
        fmt=[format_] * 2,
        adc_gain=gains,
        baseline=baselines,
        write_dir=str(tmp_path),
    )
    found = read(tmp_path / "rec").signal_mv * np.array([[1.0], [1000.0]])
    assert (np.abs(found - signal.T) <= 0.5001 / np.array(gains)[:, None]).all()

    # The signal file loses its second half.
    data = tmp_path / "rec.dat"
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    with pytest.raises(RecordError, match=r"rec\.dat"):
        read(tmp_path / "rec")


def pack_310(samples: list[int]) -> bytes:
    """Three 10-bit samples in two little-endian words: 5 bits of the third beside each of the others."""
    one, two, three = (sample & 0x3FF for sample in samples)
    words = [(one << 1) | ((three & 0x1F) << 11), (two << 1) | ((three >> 5) << 11)]
    return np.array(words, dtype="<u2").tobytes()


def pack_311(samples: list[int]) -> bytes:
    """Three 10-bit samples side by side in one little-endian word of 32 bits."""
    one, two, three = (sample & 0x3FF for sample in samples)
    return np.array([one | two << 10 | three << 20], dtype="<u4").tobytes()


@pytest.mark.parametrize(
    ("format_", "pack"),
    [
        ("61", lambda samples: np.array(samples, dtype=">i2").tobytes()),
        ("160", lambda samples: (np.array(samples) + 32768).astype("<u2").tobytes()),
        ("8", lambda samples: np.diff(samples, prepend=-5).astype("i1").tobytes()),
        ("310", pack_310),
        ("311", pack_311),
    ],
)
def test_formats_that_wfdb_only_reads_give_the_packed_samples(tmp_path, format_, pack):
    samples = [-3, 100, 17]
    (tmp_path / "rec.dat").write_bytes(pack(samples))
    (tmp_path / "rec.hea").write_text(f"rec 1 500 3\nrec.dat {format_} 1000/mV 16 0 -5 0 0 I\n")
    np.testing.assert_allclose(read(tmp_path / "rec").signal_mv, [[-0.003, 0.1, 0.017]], atol=1e-7)


@pytest.mark.parametrize(
    ("gain", "millivolts_per_count"),
    [
        *[("1000/mV", 1e-3), ("1000/mv", 1e-3), ("1/uV", 1e-3), ("1/µV", 1e-3), ("1000000/V", 1e-3), ("2/nV", 5e-7)],
        *[("-500/mV", -2e-3), ("1e3", 1e-3), ("1000.0(0)/mV", 1e-3)],
    ],
)
def test_every_unit_of_voltage_becomes_millivolts(write_wfdb, counts, gain, millivolts_per_count):
    record = read(write_wfdb(counts, gains=[gain, "1000/mV"]))
    np.testing.assert_allclose(record.signal_mv[0], counts[0] * millivolts_per_count, rtol=1e-6)
    np.testing.assert_allclose(record.signal_mv[1], millivolts(counts[1]), rtol=1e-6)


def test_large_baselines_are_subtracted_before_precision_is_lost(write_wfdb, counts):
    record = read(write_wfdb(counts, gains="37837.142857142855(-178440)/mV"))
    expected = (counts[0].astype(float) + 178440) / 37837.142857142855
    assert np.abs(record.signal_mv[0] - expected).max() < 0.5 / 37837


def test_only_the_invalid_sample_is_missing(write_wfdb, counts):
    missing = np.argwhere(np.isnan(read(write_wfdb(counts)).signal_mv))
    assert missing.tolist() == [[1, 7]]


def test_comments_become_fields_and_stay_as_they_are(write_wfdb, counts):
    record = read(write_wfdb(counts, comments=["#Age: 300", "# Sex: Male", "#Dx: 164889003,", "# free text"]))
    assert (record.age_years, record.sex, record.labels) == (90.0, 0, ("164889003",))
    assert record.comments == ("Age: 300", "Sex: Male", "Dx: 164889003,", "free text")


@pytest.mark.filterwarnings("error")
def test_lead_names_in_any_spelling_are_understood_without_a_warning(write_wfdb, counts):
    samples = np.concatenate([counts, counts])
    record = read(write_wfdb(samples, leads=["avr", "DII", "MDC_ECG_LEAD_V3", "vx"]))
    assert record.lead_names == ("aVR", "II", "V3", "VX")


def test_odd_and_repeated_lead_names_become_unknown_with_one_warning(write_wfdb, counts):
    path = write_wfdb(np.concatenate([counts, counts]), leads=["II", "ECG", "ii", ""])
    with pytest.warns(UserWarning, match="leads read as 'unknown'") as warned:
        record = read(path)
    assert record.lead_names == ("II", "unknown", "unknown", "unknown")
    assert len(warned) == 1
    for part in ("rec.hea", "'ECG' (lead 2)", "'ii' (lead 3, repeated)", "'' (lead 4)"):
        assert part in str(warned[0].message)


@pytest.mark.filterwarnings("error")
def test_names_passed_for_odd_leads_are_taken(write_wfdb, counts):
    assert read(write_wfdb(counts, leads=["ECG", "V1"]), lead_names=["I", "v1"]).lead_names == ("I", "V1")


def test_signals_that_are_not_voltages_are_left_out_with_a_warning(write_wfdb, counts):
    samples = np.concatenate([counts, counts[::-1]])
    path = write_wfdb(samples, leads=["RESP", "II", "ABP", "V5"], gains=["100/NU", "1000/mV", "12/mmHg", "500(20)/mV"])
    with pytest.warns(UserWarning, match=r"left out, not in a unit of voltage: 'RESP' \(NU\), 'ABP' \(mmHg\)"):
        record = read(path)
    assert record.lead_names == ("II", "V5")
    np.testing.assert_allclose(record.signal_mv[0], millivolts(counts[1]), atol=1e-6)
    np.testing.assert_allclose(record.signal_mv[1], (counts[0] - 20) / 500, atol=1e-6)


@pytest.mark.parametrize(
    ("leads", "gains", "message"),
    [
        (["RESP", "ABP"], ["1/NU", "12/mmHg"], "at least one signal in a unit of voltage, found 'RESP'"),
        (["I", "II"], ["1000/mV", "1000/furlong"], "lead II in a unit of voltage: .*, found 'furlong'"),
    ],
)
def test_an_ecg_in_no_unit_of_voltage_is_an_error(write_wfdb, counts, leads, gains, message):
    with pytest.raises(RecordError, match=message):
        read(write_wfdb(counts, leads=leads, gains=gains))


def test_a_gain_that_is_not_stated_is_wfdbs_default_and_said(write_wfdb, counts):
    path = write_wfdb(counts, gains=["0", "1000/mV"])
    with pytest.warns(UserWarning, match="no gain is stated for I: amplitudes rest on WFDB's default of 200"):
        record = read(path)
    np.testing.assert_allclose(record.signal_mv[0], counts[0] / 200, atol=1e-6)


def write_two_rates(folder, samples: np.ndarray) -> None:
    """A record of 60 frames a 250 Hz: leads I and II have two samples in each, RESP one."""
    frames = [samples[0].reshape(-1, 2), samples[1].reshape(-1, 2), samples[2, : samples.shape[1] // 2, None]]
    (folder / "rec.dat").write_bytes(np.concatenate(frames, axis=1).astype("<i2").tobytes())


def test_leads_with_several_samples_a_frame_keep_them_all(tmp_path):
    samples = np.random.default_rng(0).integers(-900, 900, (3, 120))
    write_two_rates(tmp_path, samples)
    lines = ["rec 3 250 60", *[f"rec.dat 16x2 1000/mV 16 0 0 0 0 {name}" for name in ("I", "II")]]
    (tmp_path / "rec.hea").write_text("\n".join([*lines, "rec.dat 16 1/NU 16 0 0 0 0 RESP"]))
    with pytest.warns(UserWarning, match="RESP"):
        record = read(tmp_path / "rec")
    assert (record.sampling_rate, record.n_samples) == (500.0, 120)
    np.testing.assert_allclose(record.signal_mv, samples[:2] / 1000, atol=1e-6)

    (tmp_path / "rec.hea").write_text("\n".join([*lines, "rec.dat 16 1000/mV 16 0 0 0 0 V1"]))
    with pytest.raises(RecordError, match="one sampling rate for all ECG leads, found I at 500 Hz.*V1 at 250 Hz"):
        read(tmp_path / "rec")


def test_a_skewed_signal_is_aligned_and_its_end_is_missing(tmp_path, counts):
    lines = ["rec 2 500 300", "rec.dat 16 1000/mV 16 0 0 0 0 I", "rec.dat 16:5 1000/mV 16 0 0 0 0 II"]
    (tmp_path / "rec.hea").write_text("\n".join(lines))
    (tmp_path / "rec.dat").write_bytes(counts.T.tobytes())
    record = read(tmp_path / "rec")
    np.testing.assert_allclose(record.signal_mv[0], counts[0] / 1000, atol=1e-6)
    np.testing.assert_allclose(record.signal_mv[1, :-5], millivolts(counts[1, 5:]), atol=1e-6)
    assert np.isnan(record.signal_mv[1, -5:]).all()

    (tmp_path / "rec.hea").write_text("\n".join([*lines[:2], "rec.dat 16:999999999 1000/mV 16 0 0 0 0 II"]))
    with pytest.raises(RecordError, match="skews within the record"):
        read(tmp_path / "rec")


@pytest.mark.parametrize("record_line", ["all/3 2 500 350", "all/3 2 500", "all.x/3 2 500 350 12-May-2020 12:33:59"])
def test_segments_are_joined_and_gaps_are_missing(two_segments, counts, record_line):
    (two_segments / "all.hea").write_text(f"{record_line}\ns1 100\n~ 50\ns2 200\n")
    signal = read(two_segments / "all").signal_mv
    np.testing.assert_allclose(signal[:, :100], millivolts(counts[:, :100]), atol=1e-6)
    assert np.isnan(signal[:, 100:150]).all()
    np.testing.assert_allclose(signal[:, 150:], millivolts(counts[:, 100:]), atol=1e-6)


def test_segments_with_a_layout_are_joined_by_name(two_segments, counts):
    lay = ["lay 3 500 0", *[f"~ 0 1000/mV 0 0 0 0 0 {name}" for name in ("II", "V5", "I")]]
    (two_segments / "lay.hea").write_text("\n".join(lay))
    (two_segments / "all.hea").write_text("all/3 3 500 300\nlay 0\ns1 100\ns2 200\n")
    record = read(two_segments / "all")
    assert record.lead_names == ("II", "V5", "I")
    np.testing.assert_allclose(record.signal_mv[[2, 0]], millivolts(counts), atol=1e-6)
    assert np.isnan(record.signal_mv[1]).all()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["all/2 2 500 301", "s1 100", "s2 200"], "all.hea: expected segments of 301 samples together, found 300"),
        (["all/2 2 500 301", "s1 101", "s2 200"], "s1.hea: expected 101 samples, as all.hea says, found 100"),
        (["all/2 2 500 300", "s1 100", "s9 200"], "s9.hea: expected a WFDB header, found no such file"),
        (["all/2 2 500 300", "s1 100", "all 200"], "all.hea: expected a segment that holds signals"),
        (["all/2 2 250 300", "s1 100", "s2 200"], "s1.hea: expected 250.0 Hz, as all.hea says, found 500.0 Hz"),
        (["all/2 3 500 300", "s1 100", "s2 200"], "s1.hea: expected the 3 signals of all.hea"),
        (["all/2 2 500 300", "s1 100", "odd 200"], "odd.hea: expected the 2 signals of all.hea"),
        (["all/1 2 500 300", "~ 300"], "all.hea: expected at least one segment with samples"),
    ],
)
def test_segments_that_do_not_fit_are_an_error(two_segments, write_wfdb, counts, lines, message):
    write_wfdb(counts[:, 100:], name="odd", leads=["II", "I"])
    (two_segments / "all.hea").write_text("\n".join(lines))
    with pytest.raises(RecordError) as error:
        read(two_segments / "all")
    assert message in str(error.value)


@pytest.mark.parametrize("layout", ["16", "16+24"])
def test_a_truncated_signal_file_is_an_error_with_both_sizes(write_wfdb, counts, layout):
    path = write_wfdb(counts, layout=layout)
    data = path.with_suffix(".dat")
    whole = data.stat().st_size
    data.write_bytes(data.read_bytes()[: whole - 401])
    with pytest.raises(TruncatedFileError) as error:
        read(path)
    assert str(error.value) == (
        f"{data}: expected {whole} bytes (300 samples of 2 signals in format 16), found {whole - 401} bytes"
        " (199 samples). The file is truncated: fetch it again."
    )


def test_an_empty_signal_file_is_an_error_even_if_no_length_is_stated(write_wfdb, counts):
    path = write_wfdb(counts, record_line="rec 2 500")
    path.with_suffix(".dat").write_bytes(b"")
    with pytest.raises(RecordError, match="expected at least one sample, found none"):
        read(path)


def test_a_missing_signal_file_is_named(write_wfdb, counts):
    path = write_wfdb(counts, data_file="rec.mat")
    path.with_suffix(".mat").unlink()
    with pytest.raises(
        MissingFileError, match=r"rec\.mat: expected the signal file that rec\.hea names, found no such"
    ):
        read(path)


def test_a_signal_file_without_header_is_told_from_a_missing_record(write_wfdb, counts):
    path = write_wfdb(counts)
    path.with_suffix(".hea").unlink()
    with pytest.raises(MissingFileError, match=r"rec\.hea: expected a WFDB header, found no such file"):
        read(path.with_suffix(".dat"))
    with pytest.raises(MissingFileError, match=r"rec: expected a record: this file, or a WFDB header rec\.hea"):
        read(path)


@pytest.mark.parametrize("where", ["../outside.dat", "{folder}/outside.dat"])
def test_a_header_that_points_elsewhere_is_refused_though_the_file_is_there(write_wfdb, counts, tmp_path, where):
    inside = tmp_path / "in"
    inside.mkdir()
    (tmp_path / "outside.dat").write_bytes(counts.T.tobytes())
    path = write_wfdb(counts, name="rec", data_file=where.format(folder=tmp_path))
    path.with_suffix(".hea").rename(inside / "rec.hea")
    with pytest.raises(UnsafeHeaderError, match="expected names of files beside the header, found '.*outside.dat'"):
        read(inside / "rec")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["a.dat 17 1000/mV 16 0 0 0 0 I", "a.dat 17 1000/mV 16 0 0 0 0 II"],
            "a WFDB signal format .* format 17",
        ),
        (["a.dat 16 1000/mV 16 0 0 0 0 I", "a.dat 212 1000/mV 16 0 0 0 0 II"], "one format and offset .* of a.dat"),
        (
            [f"{name}.dat 16 1000/mV 16 0 0 0 0 {lead}" for name, lead in zip("aba", ["I", "II", "V1"], strict=True)],
            "the signals of a.dat on consecutive lines",
        ),
    ],
)
def test_a_layout_that_wfdb_does_not_have_is_an_error(tmp_path, counts, lines, message):
    (tmp_path / "rec.hea").write_text("\n".join([f"rec {len(lines)} 500 100", *lines]))
    for name in "ab":
        (tmp_path / f"{name}.dat").write_bytes(counts.tobytes())
    with pytest.raises(RecordError, match=message):
        read(tmp_path / "rec")


@pytest.mark.parametrize("record_line", ["rec 1 500 300", "rec.mat 1 500 300"])
def test_a_signal_without_a_file_is_an_error_outside_a_layout(tmp_path, record_line):
    (tmp_path / "rec.hea").write_text(f"{record_line}\n~ 0 1000/mV 0 0 0 0 0 II\n")
    with pytest.raises(RecordError, match="expected a file for every signal, found none .'~'. for 'II'"):
        read(tmp_path / "rec")


def test_a_missing_or_impossible_rate_is_an_error(write_wfdb, counts):
    with pytest.raises(RecordError, match="expected a sampling rate, found none in the file. Pass it in Hz"):
        read(write_wfdb(counts, record_line="rec 2"))
    assert read(write_wfdb(counts, record_line="rec 2"), sampling_rate=250).sampling_rate == 250.0
    for rate in ("0", "-500"):
        with pytest.raises(RecordError, match=f"a positive sampling rate in Hz, found {rate} in the file"):
            read(write_wfdb(counts, record_line=f"rec 2 {rate} 300"))


@pytest.mark.parametrize(
    ("passed", "message"),
    [
        ({"sampling_rate": 250}, "a sampling rate of 250 Hz, as passed, found 500 Hz in the file"),
        ({"unit": "uV"}, "samples in 'uV', as passed, found 'mV' in the file"),
        ({"lead_names": ["II", "I"]}, "the leads II, I, as passed, found I, II in the file"),
        ({"lead_names": ["I"]}, "the leads I, as passed, found I, II in the file"),
    ],
)
def test_what_the_file_states_cannot_be_overruled(write_wfdb, counts, passed, message):
    with pytest.raises(RecordError, match=message):
        read(write_wfdb(counts), **passed)


def test_what_the_file_states_can_be_confirmed(write_wfdb, counts):
    record = read(write_wfdb(counts), sampling_rate=500, unit="mv", lead_names=["I", "II"])
    np.testing.assert_allclose(record.signal_mv, millivolts(counts), atol=1e-6)


def test_a_length_that_no_compressed_file_can_have_is_refused_before_memory_is_asked_for(write_wfdb, counts):
    path = write_wfdb(counts, layout="516", record_line="rec 2 500 1000000000000")
    with pytest.raises(RecordError, match=r"rec\.dat: expected a signal file of at most 250 times its 1200 bytes"):
        read(path)


def test_annotations_are_read_only_when_asked_for(write_wfdb, counts):
    path = write_wfdb(counts)
    assert read(path, annotations=True).annotations is None
    wfdb.wrann(
        "rec", "atr", np.array([5, 50, 250]), symbol=["+", "N", "V"], aux_note=["(AFIB", "", ""], write_dir=path.parent
    )
    assert read(path).annotations is None
    assert read(path, annotations=True).annotations == (
        Annotation(0.01, "+", "(AFIB"),
        Annotation(0.1, "N"),
        Annotation(0.5, "V"),
    )


def test_annotations_without_a_symbol_of_their_own_keep_their_code(write_wfdb, counts):
    path = write_wfdb(counts)
    # Codes 45, which WFDB leaves to applications, and 1 at samples 5 and 50; the upper six bits hold the code.
    path.with_suffix(".atr").write_bytes(np.array([45 << 10 | 5, 1 << 10 | 45, 0], dtype="<u2").tobytes())
    assert read(path, annotations=True).annotations == (Annotation(0.01, "[45]"), Annotation(0.1, "N"))


def test_a_corrupt_annotation_file_is_named(write_wfdb, counts):
    path = write_wfdb(counts)
    path.with_suffix(".atr").write_bytes(b"\xff\xff\xff")
    with pytest.raises(RecordError, match=r"rec\.atr: expected a WFDB annotation file"):
        read(path, annotations=True)


def test_without_wfdb_the_error_says_what_to_install(write_wfdb, counts, monkeypatch):
    path = write_wfdb(counts)
    monkeypatch.setitem(sys.modules, "wfdb", None)
    with pytest.raises(ImportError, match=r'pip install "anyecg-hf\[records\]"'):
        read(path)
