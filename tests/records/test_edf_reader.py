# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""EDF and BDF files: samples in mV, whole and in pieces, patients, annotations, and files that are broken."""

import itertools
import sys
from datetime import date, datetime

import numpy as np
import pyedflib
import pytest
from tests.records.written_edf import Channel, overwrite, write_edf

from anyecg_hf.records import (
    Annotation,
    MissingFileError,
    RecordError,
    TruncatedFileError,
    find_records,
    open_record,
    read_record,
)

N_SAMPLES = 2500
KINDS = [pyedflib.FILETYPE_EDF, pyedflib.FILETYPE_EDFPLUS, pyedflib.FILETYPE_BDF, pyedflib.FILETYPE_BDFPLUS]


def samples(seed: int = 0, n_samples: int = N_SAMPLES, bits: int = 16) -> np.ndarray:
    half = 1 << bits - 1
    return np.random.default_rng(seed).integers(-half, half, n_samples)


@pytest.fixture
def path(tmp_path):
    """Ten seconds of leads I and II as EDF+."""
    return write_edf(tmp_path / "rec.edf", [Channel("ECG I", samples(0)), Channel("ECG II", samples(1))])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("unit", "millivolts"), [("mV", 1.0), ("uV", 1e-3), ("V", 1e3)])
def test_samples_of_every_kind_and_unit_are_millivolts(tmp_path, kind, unit, millivolts):
    bits = 24 if kind in (pyedflib.FILETYPE_BDF, pyedflib.FILETYPE_BDFPLUS) else 16
    digital = (-(1 << bits - 1), (1 << bits - 1) - 1)
    physical = (-5 / millivolts, 5 / millivolts)
    channels = [
        Channel(label, samples(seed, bits=bits), unit=unit, physical=physical, digital=digital)
        for seed, label in enumerate(["ECG I", "aVR", "ECG V1"])
    ]
    record = read_record(write_edf(tmp_path / "rec.edf", channels, kind=kind))
    expected = np.stack([channel.physical_samples for channel in channels]) * millivolts
    np.testing.assert_allclose(record.signal_mv, expected, atol=1e-6)
    assert (record.lead_names, record.sampling_rate, record.record_id) == (("I", "aVR", "V1"), 250.0, "rec")
    assert record.source == str(tmp_path / "rec.edf")


def test_the_content_decides_and_not_the_suffix(path):
    for name in ("a.dat", "b", "c.rec", "d.csv"):
        copy = path.with_name(name)
        copy.write_bytes(path.read_bytes())
        assert read_record(copy).lead_names == ("I", "II")


def test_pieces_are_those_of_the_whole(path):
    whole = read_record(path).signal_mv
    with open_record(path) as source:
        assert (source.n_leads, source.n_samples, source.duration_s) == (2, N_SAMPLES, 10.0)
        for start, stop in itertools.combinations([0, 1, 249, 250, 251, 1777, 2499, 2500], 2):
            np.testing.assert_array_equal(source.read(start, stop), whole[:, start:stop])
        np.testing.assert_array_equal(np.concatenate(list(source.blocks(0.7)), axis=1), whole)


def test_only_the_samples_asked_for_are_decoded(path, monkeypatch):
    asked = []
    decode = pyedflib.EdfReader.readSignal

    def spy(self, channel, start, n, digital):
        asked.append((channel, start, n))
        return decode(self, channel, start, n, digital)

    monkeypatch.setattr(pyedflib.EdfReader, "readSignal", spy)
    with open_record(path) as source:
        assert asked == []
        source.read(300, 310)
    assert asked == [(0, 300, 10), (1, 300, 10)]


def test_a_file_can_be_open_more_than_once(path):
    with open_record(path) as first, open_record(path) as second:
        whole = read_record(path).signal_mv
        np.testing.assert_array_equal(first.read(0, 100), whole[:, :100])
        np.testing.assert_array_equal(second.read(50, 150), whole[:, 50:150])


def test_a_physical_range_upside_down_turns_the_signal_over(tmp_path):
    channel = Channel("II", samples(), physical=(5.0, -5.0))
    record = read_record(write_edf(tmp_path / "rec.edf", [channel]))
    np.testing.assert_allclose(record.signal_mv[0], channel.physical_samples, atol=1e-6)
    assert channel.physical_samples[channel.samples.argmax()] < 0


@pytest.mark.parametrize(
    ("kind", "bits"), [(pyedflib.FILETYPE_EDF, 16), (pyedflib.FILETYPE_BDF, 24)], ids=["EDF", "BDF"]
)
def test_the_lowest_code_below_the_digital_range_is_a_missing_sample(tmp_path, kind, bits):
    codes = np.clip(samples(0), -2000, 2000)
    codes[100:150] = -(1 << bits - 1)  # as WFDB's mit2edf writes missing samples
    channel = Channel("ECG I", np.maximum(codes, -2048), physical=(-5.12, 5.1175), digital=(-2048, 2047))
    path = write_edf(tmp_path / "gap", [channel], kind=kind)
    stored = channel.samples.astype("<i4").tobytes()
    content, size = path.read_bytes(), bits // 8
    raw = b"".join(stored[4 * place : 4 * place + size] for place in range(len(codes)))
    lowest = b"".join(int(code).to_bytes(size, "little", signed=True) for code in codes)
    assert content.count(raw[: 90 * size]) == 1  # one data record a second holds all of the lead
    for second in range(10):
        part = slice(second * 250 * size, (second + 1) * 250 * size)
        content = content.replace(raw[part], lowest[part])
    path.write_bytes(content)

    signal_mv = read_record(path).signal_mv[0]
    missing = np.zeros(N_SAMPLES, dtype=bool)
    missing[100:150] = True
    assert np.array_equal(np.isnan(signal_mv), missing)
    np.testing.assert_allclose(signal_mv[~missing], codes[~missing] * 0.0025, atol=1e-6)


def test_the_rate_counts_in_data_records_of_any_length(path):
    overwrite(path, "duration", "0.5")
    assert read_record(path).sampling_rate == 500.0
    with pytest.raises(RecordError, match="a sampling rate of 250 Hz, as passed, found 500 Hz in the file"):
        read_record(path, sampling_rate=250)


def test_a_missing_unit_of_an_ecg_can_be_passed(path):
    overwrite(path, "unit", "", signal=0)
    overwrite(path, "unit", "", signal=1)
    with pytest.raises(RecordError, match="expected a unit of the samples, found none in the file. Pass unit='mV'"):
        read_record(path)
    assert read_record(path, unit="uV").signal_mv.std() < 0.01


def describe(writer: pyedflib.EdfWriter) -> None:
    writer.setStartdatetime(datetime(2020, 5, 12, 12, 33, 59))
    writer.setPatientCode("p7")
    writer.setSex(0)
    writer.setBirthdate(date(1950, 5, 13))
    writer.setPatientName("Mary_Smith")
    writer.setPatientAdditional("pacemaker")
    writer.setTechnician("John_Doe")
    writer.setEquipment("recorder_3")
    writer.setRecordingAdditional("second_day")


@pytest.mark.parametrize("kind", [pyedflib.FILETYPE_EDFPLUS, pyedflib.FILETYPE_BDFPLUS])
def test_the_patient_is_told_without_the_name(tmp_path, kind):
    path = write_edf(tmp_path / "a.edf", [Channel("I", samples())], kind=kind, prepare=describe)
    record = read_record(path)
    assert (record.patient_id, record.sex, record.age_years) == ("p7", 1, 69.0)
    assert record.recorded_at == datetime(2020, 5, 12, 12, 33, 59)
    assert record.comments == ("recorder_3 second_day", "pacemaker")
    assert "Smith" not in repr(vars(record)) and "Doe" not in repr(vars(record))


def test_a_plain_file_tells_of_the_recording_only(tmp_path):
    path = write_edf(tmp_path / "a.edf", [Channel("I", samples())], kind=pyedflib.FILETYPE_EDF)
    overwrite(path, "patient", "Mary Smith")
    overwrite(path, "recording", "ward 3")
    overwrite(path, "start date", "12.05.99")
    overwrite(path, "start time", "12.33.59")
    record = read_record(path)
    assert (record.patient_id, record.sex, record.age_years) == (None, None, None)
    assert (record.recorded_at, record.comments) == (datetime(1999, 5, 12, 12, 33, 59), ("ward 3",))


def test_annotations_are_read_when_asked_for(tmp_path):
    said = [(1.5, -1, "begin"), (2.0, 5.25, "AF épisode")]
    path = write_edf(tmp_path / "a.edf", [Channel("I", samples())], annotations=said)
    assert read_record(path).annotations is None
    assert read_record(path, annotations=True).annotations == (
        Annotation(1.5, '"', "begin"),
        Annotation(2.0, '"', "AF épisode", duration_s=5.25),
    )


def test_annotations_may_come_before_the_leads(tmp_path):
    said = [(2.0, -1, "begin")]
    path = write_edf(tmp_path / "a.edf", [Channel("I", samples(0)), Channel("II", samples(1))], annotations=said)
    expected = read_record(path, annotations=True)
    move_last_signal_to_the_front(path)
    assert read_record(path, annotations=True) == expected


def move_last_signal_to_the_front(path) -> None:
    content = path.read_bytes()
    n_signals, header, start = int(content[252:256]), [content[:256]], 256
    for width in (16, 80, 8, 8, 8, 8, 8, 80, 8, 32):
        cells = [content[start + width * number : start + width * (number + 1)] for number in range(n_signals)]
        header += [cells[-1], *cells[:-1]]
        start += width * n_signals
    records = np.frombuffer(content, dtype="<i2", offset=start).reshape(int(content[236:244]), -1)
    path.write_bytes(b"".join(header) + np.roll(records, records.shape[1] - 500, axis=1).tobytes())


def test_an_annotation_signal_of_a_plain_file_is_a_signal_like_others(path):
    overwrite(path, "reserved", "")
    with pytest.warns(UserWarning, match=r"not in a unit of voltage: 'EDF Annotations' \(no unit\)"):
        assert read_record(path, annotations=True).annotations is None


def test_no_annotations_are_told_from_no_place_for_them(path, tmp_path):
    plain = write_edf(tmp_path / "a.edf", [Channel("I", samples())], kind=pyedflib.FILETYPE_EDF)
    assert read_record(path, annotations=True).annotations == ()
    assert read_record(plain, annotations=True).annotations is None


def test_a_night_in_the_sleep_laboratory_gives_its_ecg(tmp_path):
    channels = [
        Channel("EEG Fpz-Cz", samples(0, 1000), rate=100, unit="uV", physical=(-500, 500)),
        Channel("C3-A2", samples(1), unit="uV", physical=(-500, 500)),
        Channel("C4", samples(2), unit="uV", physical=(-500, 500)),
        Channel("ECG II", samples(3)),
        Channel("EMG chin", samples(4), unit="uV", physical=(-500, 500)),
        Channel("Snore", samples(5, 1000), rate=100, unit="uV", physical=(-500, 500)),
        Channel("SaO2", samples(6, 10), rate=1, unit="%", physical=(0, 100)),
    ]
    path = write_edf(tmp_path / "night.edf", channels)
    with pytest.warns(UserWarning) as warned:
        record = read_record(path)
    assert (record.lead_names, record.sampling_rate) == (("II",), 250.0)
    np.testing.assert_allclose(record.signal_mv[0], channels[3].physical_samples, atol=1e-6)
    assert [str(warning.message).partition("signals ")[2] for warning in warned] == [
        "left out, not in a unit of voltage: 'SaO2' (%).",
        "left out, named as something other than an ECG lead: 'EEG Fpz-Cz', 'C3-A2', 'C4', 'EMG chin'.",
        "left out, at another rate than the ECG leads (250 Hz): 'Snore' (100 Hz).",
    ]


def test_leads_of_two_rates_are_an_error(tmp_path):
    path = write_edf(tmp_path / "a.edf", [Channel("I", samples()), Channel("V1", samples(1, 5000), rate=500)])
    with pytest.raises(RecordError, match="one sampling rate for all ECG leads, found I at 250 Hz, V1 at 500 Hz"):
        open_record(path)


def test_a_discontinuous_file_is_refused(path):
    overwrite(path, "reserved", "EDF+D")
    with pytest.raises(RecordError, match=r"a recording without interruptions, found EDF\+D.*Convert it to EDF\+C"):
        open_record(path)


def test_a_truncated_file_is_an_error_with_both_sizes(path):
    content = path.read_bytes()
    record_bytes = (len(content) - 1024) // 10
    path.write_bytes(content[:-1])
    with pytest.raises(TruncatedFileError) as error:
        open_record(path)
    assert str(error.value) == (
        f"{path}: expected {len(content)} bytes (10 data records of {record_bytes} bytes after 1024 of header), found"
        f" {len(content) - 1} bytes (9 data records). The file is truncated: fetch it again."
    )


@pytest.mark.parametrize(("kept", "needed"), [(8, 256), (255, 256), (256, 1024), (1000, 1024)])
def test_a_truncated_header_is_an_error_with_both_sizes(path, kept, needed):
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(TruncatedFileError, match=f"expected {needed} bytes of header, found {kept} bytes"):
        open_record(path)


def test_a_file_cut_after_opening_is_an_error_and_not_zeros(path):
    with open_record(path) as source:
        path.write_bytes(path.read_bytes()[:2000])
        with pytest.raises(RecordError, match="expected a file that pyedflib can decode, found .*Filesize"):
            source.read(2000, 2100)
        path.unlink()
        with pytest.raises(RecordError, match="expected a file that pyedflib can decode"):
            source.read(2000, 2100)


def test_bytes_after_the_last_data_record_are_said(path):
    whole = read_record(path)
    path.write_bytes(path.read_bytes() + b"\0" * 700)
    with pytest.warns(UserWarning, match="700 bytes beyond the 10 data records of the header are not read"):
        assert read_record(path) == whole


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("physical minimum", "5", "physical minimum and maximum of 'ECG I' that differ, found 5 for both"),
        ("digital maximum", "-32768", "a digital minimum of 'ECG I' below its maximum, found -32768 and -32768"),
        ("digital maximum", "1.5", "a whole number as digital maximum of 'ECG I', found '1.5'"),
        ("physical maximum", "5,0", "a number as physical maximum of 'ECG I', found '5,0'. Mend the header"),
        ("physical maximum", "nan", "a number as physical maximum of 'ECG I', found 'nan'"),
        ("unit", "µV", "printable ASCII in the header field 'unit', found the byte 0xb5"),
        ("patient", "Müller", "printable ASCII in the header field 'patient', found the byte 0xfc"),
        ("samples", "0", "samples of 'ECG I' in every data record, found 0"),
        ("records", "-1", "at least one data record, found -1 in the header and 10 in the file. The recorder did not"),
        ("records", "0", "at least one data record, found 0 in the header"),
        ("duration", "0", "data records that last longer than 0 s, found 0 s"),
        ("duration", "", "a number as duration of a data record, found ''"),
        ("signals", "0", "at least one signal, found 0"),
        ("signals", "9e99", "expected 2303.* bytes of header, found 12164 bytes"),
        ("header bytes", "1280", "1024 header bytes for 3 signals, found 1280"),
        ("start date", "xx.xx.xx", "a file that pyedflib can decode, found .*startdate"),
    ],
)
def test_a_broken_header_is_an_error_that_names_the_field(path, field, text, message):
    overwrite(path, field, text)
    with pytest.raises(RecordError, match=message):
        open_record(path)


@pytest.mark.parametrize("limits", [("-1e308", "1e308"), ("0", "1e-320")])
def test_physical_limits_beyond_all_numbers_are_an_error(path, limits):
    for field, text in zip(("physical minimum", "physical maximum"), limits, strict=True):
        overwrite(path, field, text)
    with pytest.raises(RecordError, match="physical limits of 'ECG I' that a signal can have, found"):
        open_record(path)


def test_what_pyedflib_refuses_is_an_error_when_the_file_is_opened(path):
    overwrite(path, "label", "no annotations", signal=2)
    with (
        pytest.raises(RecordError, match="a file that pyedflib can decode, found the file is not EDF"),
        pytest.warns(UserWarning, match="'no annotations'"),
    ):
        open_record(path)


def test_a_missing_file_is_said(path):
    with pytest.raises(MissingFileError, match="expected a record"):
        open_record(path.with_name("other.edf"))


def test_folders_give_files_with_a_signal_and_no_copies(path, write_wfdb, counts):
    folder = path.parent
    content = path.read_bytes()
    for name in ("a.BDF", "b.rec", "cut.edf"):
        (folder / name).write_bytes(content[:2000] if name == "cut.edf" else content)
    (folder / "notes.rec").write_text("0 patients\n")
    write_edf(folder / "scoring.edf", [Channel("I", samples())])
    overwrite(folder / "scoring.edf", "label", "EDF Annotations")
    write_wfdb(counts, name="rec")
    assert [found.name for found in find_records(folder)] == ["a.BDF", "b.rec", "cut.edf", "rec"]
    assert [found.name for found in find_records(folder / "*.edf")] == ["cut.edf", "rec.edf"]
    assert find_records(path) == [path]


def test_without_pyedflib_the_error_says_what_to_install(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyedflib", None)
    with pytest.raises(ImportError, match=r'needs the package pyedflib: pip install "anyecg-hf\[records\]"'):
        open_record(path)
