# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from tests.records.written_dicom import TWELVE_CHANNELS, group, write_dicom
from tests.training.written_records import ecg_counts, write_wfdb

from anyecg_hf.web import uploads
from anyecg_hf.web.uploads import FileFacts, read_upload, sweep, take_files

NOTHING_KNOWN = FileFacts()


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch) -> Path:
    """The folder for temporary files, in which every test must leave nothing."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def sent(folder: Path, **files: bytes) -> list[str]:
    """Files as the server leaves them, each in a folder of its own."""
    paths = []
    for number, (name, content) in enumerate(files.items()):
        path = folder / "server" / f"{number}" / name.replace("__", ".")
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        paths.append(str(path))
    return paths


def wfdb(folder: Path, name: str = "rec", seconds: float = 4, leads: int = 2) -> dict[str, bytes]:
    record = write_wfdb(folder / name, ecg_counts(0, leads=leads, seconds=seconds))
    return {f"{name}.{suffix}": record.with_name(f"{name}.{suffix}").read_bytes() for suffix in ("hea", "dat")}


class TestTaking:
    def test_files_are_read_and_gone_with_their_folders(self, tmp_path):
        paths = sent(tmp_path, a__hea=b"header", a__dat=b"samples")
        assert take_files(paths) == {"a.hea": b"header", "a.dat": b"samples"}
        assert list((tmp_path / "server").iterdir()) == []

    def test_another_file_in_the_servers_folder_stays(self, tmp_path):
        paths = sent(tmp_path, a=b"1")
        other = Path(paths[0]).with_name("other")
        other.write_bytes(b"2")
        take_files(paths)
        assert other.read_bytes() == b"2" and not Path(paths[0]).exists()

    def test_too_many_are_refused_and_gone(self, tmp_path):
        paths = sent(tmp_path, **{f"f{number}": b"" for number in range(33)})
        with pytest.raises(ValueError, match=r"^expected the files of one record, at most 32, got 33\.$"):
            take_files(paths)
        assert list((tmp_path / "server").iterdir()) == []

    def test_files_too_large_together_are_refused_and_gone(self, tmp_path, monkeypatch):
        monkeypatch.setattr(uploads, "MAX_BYTES", 2**20)
        paths = sent(tmp_path, a=bytes(2**19), b=bytes(2**19 + 1))
        with pytest.raises(ValueError, match=r"^expected at most 1 MB, got 1\.0 MB: `anyecg run`"):
            take_files(paths)
        assert list((tmp_path / "server").iterdir()) == []

    def test_two_of_one_name_are_refused(self, tmp_path):
        paths = sent(tmp_path, a=b"1", b=b"2")
        same = Path(paths[1]).rename(Path(paths[1]).with_name("a"))
        with pytest.raises(ValueError, match="two files are called a: send the files of one record"):
            take_files([paths[0], str(same)])
        assert not same.exists()


class TestReading:
    def test_a_wfdb_record_of_two_files(self, tmp_path):
        read = read_upload(wfdb(tmp_path), NOTHING_KNOWN)
        assert read.record.record_id == "rec" and read.record.lead_names == ("I", "II") and read.notes == ()
        np.testing.assert_allclose(read.record.signal_mv, ecg_counts(0, leads=2, seconds=4) / 1000, atol=1e-6)

    def test_annotations_beside_the_record_do_no_harm(self, tmp_path):
        assert read_upload({**wfdb(tmp_path), "rec.atr": b"\0\0"}, NOTHING_KNOWN).record.n_leads == 2

    def test_a_dicom_file_whatever_it_is_called(self, tmp_path):
        counts = ecg_counts(0, leads=12, seconds=4).astype(np.int16)
        content = write_dicom(tmp_path / "a.dcm", [group(counts, TWELVE_CHANNELS)]).read_bytes()
        record = read_upload({"export 1 (copy)": content}, NOTHING_KNOWN).record
        assert record.lead_names[:3] == ("I", "II", "III") and (record.n_leads, record.duration_s) == (12, 4.0)

    def test_a_table_with_what_it_leaves_open(self):
        table = b"first,second\n" + b"0.5,1.0\n" * 1000
        facts = FileFacts.from_fields(250.0, " I , II,", "mV")
        record = read_upload({"a.csv": table}, facts).record
        assert (record.sampling_rate, record.lead_names, record.n_samples) == (250.0, ("I", "II"), 1000)

    def test_an_empty_field_says_nothing(self):
        assert FileFacts.from_fields(None, "", "") == FileFacts.from_fields(0, None, None) == NOTHING_KNOWN

    def test_of_a_long_record_the_beginning_is_read_and_this_is_said(self, tmp_path, monkeypatch):
        monkeypatch.setattr(uploads, "MAX_SECONDS", 3.0)
        read = read_upload(wfdb(tmp_path), NOTHING_KNOWN)
        assert read.record.duration_s == 3.0 and read.record.record_id == "rec"
        np.testing.assert_allclose(read.record.signal_mv, ecg_counts(0, leads=2, seconds=4)[:, :1500] / 1000, atol=1e-6)
        assert read.notes == ("Read: the first 3 s of 4 s. `anyecg embed` takes records whole.",)

    def test_too_many_samples_are_refused_before_they_are_read(self, tmp_path, monkeypatch):
        monkeypatch.setattr(uploads, "MAX_SAMPLES", 3999)
        with pytest.raises(ValueError, match=r"expected at most 3,999 samples in 600 s of all leads, got 4,000"):
            read_upload(wfdb(tmp_path), NOTHING_KNOWN)

    def test_warnings_become_notes_without_the_folder(self, tmp_path):
        record = write_wfdb(tmp_path / "odd", ecg_counts(0, leads=1), leads=("Q",))
        files = {f"odd.{suffix}": record.with_name(f"odd.{suffix}").read_bytes() for suffix in ("hea", "dat")}
        read = read_upload(files, NOTHING_KNOWN)
        assert read.notes == ("odd.hea: leads read as 'unknown': 'Q' (lead 1). Pass `lead_names` if you know better.",)


class TestBadUploads:
    @pytest.mark.parametrize(
        ("files", "told"),
        [
            ({}, r"^expected a file, got none: choose one, or a sample\.$"),
            ({"a.txt": b"\xff\xfe\0"}, r"^a\.txt: expected a record in one of the formats HDF5, .*, found a file that"),
            ({"a.bin": b""}, r"^a\.bin: expected"),
            ({"a.txt": b"\0\1", "b.txt": b"\0\1"}, r"^the upload: expected records in one of the formats"),
            ({"a.csv": b"I,II\n0,1\n1,0\n"}, r"^a\.csv: expected a sampling rate, found none in the file\."),
        ],
    )
    def test_what_is_no_record_is_told_by_name(self, files, told):
        with pytest.raises(ValueError, match=told) as raised:
            read_upload(files, NOTHING_KNOWN)
        assert "anyecg-upload-" not in str(raised.value)

    def test_a_header_without_its_signal(self, tmp_path):
        files = wfdb(tmp_path)
        with pytest.raises(ValueError, match=r"^rec\.dat: expected the signal file that rec\.hea names, found no such"):
            read_upload({"rec.hea": files["rec.hea"]}, NOTHING_KNOWN)
        with pytest.raises(ValueError, match=r"^rec\.hea: expected a WFDB header, found no such file"):
            read_upload({"rec.dat": files["rec.dat"]}, NOTHING_KNOWN)

    def test_two_records(self, tmp_path):
        with pytest.raises(ValueError, match=r"^expected the files of one record, found 2: one, two\. Send one"):
            read_upload({**wfdb(tmp_path, "one"), **wfdb(tmp_path, "two")}, NOTHING_KNOWN)

    @pytest.mark.parametrize("file", ["../outside.dat", "/etc/passwd", "sub/inside.dat"])
    def test_a_header_that_names_files_elsewhere(self, tmp_path, file):
        header = f"sly 1 500 100\n{file} 16 1000(0)/mV 16 0 0 0 0 I\n".encode()
        with pytest.raises(ValueError, match=r"^sly\.hea: expected"):
            read_upload({"sly.hea": header}, NOTHING_KNOWN)


class TestSweeping:
    def test_what_is_old_goes_and_what_is_young_stays(self, tmp_path):
        paths = [Path(path) for path in sent(tmp_path, old=b"1", young=b"2")]
        long_ago = time.time() - 1000
        for path in (paths[0], paths[0].parent):
            os.utime(path, (long_ago, long_ago))
        sweep(tmp_path / "server", 500)
        assert not paths[0].exists() and paths[1].read_bytes() == b"2"
        sweep(tmp_path / "server", -1)
        sweep(tmp_path / "server", -1)
        assert list((tmp_path / "server").iterdir()) == []


REAL_FILES = {
    "ptb-xl/records500/00000/00001_hr": (("hea", "dat"), 12, 10.0),
    "cpsc2018-text-dx/A0001": (("hea", "mat"), 12, 15.0),
    "mitdb/100": (("hea", "dat", "atr"), 2, 600.0),
    "ahadb/0201": (("edf",), 2, 600.0),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("record", REAL_FILES)
def test_real_files_are_read(records_dir, record):
    suffixes, leads, seconds = REAL_FILES[record]
    paths = [records_dir / f"{record}.{suffix}" for suffix in suffixes]
    if not all(path.is_file() for path in paths):
        pytest.skip(f"{record} is not among the real records")
    read = read_upload({path.name: path.read_bytes() for path in paths}, NOTHING_KNOWN)
    assert (read.record.n_leads, read.record.duration_s) == (leads, seconds)
    assert any(note.startswith("Read: the first 600 s of") for note in read.notes) == (seconds == 600)
