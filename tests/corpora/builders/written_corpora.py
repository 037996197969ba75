# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Small corpora on disk, in the layouts of the PhysioNet Challenge 2021 and of the corpora's own releases."""

import csv
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb
from tests.corpora.builders.battery import CorpusBattery, WrittenCorpus, WrittenRow, all_rows, assert_same_row
from tests.corpora.downloads.corpus_server import CorpusServer

from anyecg_hf.corpora import corpus_builder, load_corpus
from anyecg_hf.corpora.downloads.remote_files import Checksum
from anyecg_hf.records import StoredSignal

TWELVE_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
INVALID = -(1 << 15)
# "val" is the name of the matrix in every `.mat` file of the challenge.
_MAT_NAME = b"val\0"
_MAT_INT16 = 30


@dataclass(frozen=True)
class SignalFile:
    """A file of a WFDB record: its suffix, and the leads that it holds as the header spells them."""

    suffix: str = ".mat"
    leads: Sequence[str] = TWELVE_LEADS

    @property
    def layout(self) -> str:
        return "16+24" if self.suffix == ".mat" else "16"

    def content(self, samples: np.ndarray) -> bytes:
        head = b""
        if self.suffix == ".mat":
            head = struct.pack("<5i", _MAT_INT16, *samples.shape, 0, len(_MAT_NAME)) + _MAT_NAME
        return head + samples.T.astype("<i2").tobytes()


@dataclass(frozen=True)
class RecordText:
    """
    What a header says.

    Attributes:
        sampling_rate (`int`): In Hz.
        n_samples (`int`): Length.
        gain (`float`): Steps in one unit.
        gain_text (`str`): How it is written.
        record_line (`str`, *optional*): The first line, if it is not the usual one.
        comments (`tuple[str, ...]`): Lines at the end, with `#`.
    """

    sampling_rate: int = 500
    n_samples: int = 600
    gain: float = 1000.0
    gain_text: str = "1000/mV"
    record_line: str | None = None
    comments: tuple[str, ...] = ()


def write_record(
    root: Path,
    stem: str,
    text: RecordText = RecordText(),
    files: Sequence[SignalFile] = (SignalFile(),),
    columns: dict[str, Any] | None = None,
) -> WrittenRow:
    """Writes a WFDB record with random samples, one of them invalid, and returns what must be read."""
    path = root / stem
    path.parent.mkdir(parents=True, exist_ok=True)
    leads = [lead for file in files for lead in file.leads]
    samples = np.random.default_rng(zlib.crc32(path.name.encode())).integers(-900, 900, (len(leads), text.n_samples))
    samples = samples.astype(np.int16)
    samples[-1, 7] = INVALID
    lines = [text.record_line or f"{path.name} {len(leads)} {text.sampling_rate} {text.n_samples}"]
    first = 0
    for file in files:
        signal_path = path.with_name(path.name + file.suffix)
        signal_path.write_bytes(file.content(samples[first : first + len(file.leads)]))
        lines += [f"{signal_path.name} {file.layout} {text.gain_text} 16 0 0 0 0 {lead}" for lead in file.leads]
        first += len(file.leads)
    path.with_name(f"{path.name}.hea").write_text("\n".join([*lines, *text.comments, ""]), encoding="utf-8")
    signal = StoredSignal(
        samples,
        gain=np.full(len(leads), text.gain),
        baseline=np.zeros(len(leads)),
        units=("mV",) * len(leads),
        missing=(INVALID,) * len(leads),
    )
    expected = {"sampling_rate": float(text.sampling_rate), "split": "train", "fold": None, **(columns or {})}
    return WrittenRow(signal, tuple(f"{stem}{file.suffix}" for file in files), expected)


def write_challenge_record(
    root: Path,
    source: str,
    name: str,
    *,
    age: str = "56",
    sex: str = "Female",
    dx: str = "426783006",
    text: RecordText = RecordText(),
    columns: dict[str, Any] | None = None,
) -> WrittenRow:
    """Writes a record as the Challenge 2021 has it, the date of its making before the time."""
    comments = (f"#Age: {age}", f"#Sex: {sex}", f"#Dx: {dx}", "#Rx: Unknown", "#Hx: Unknown", "#Sx: Unknown")
    line = f"{name} 12 {text.sampling_rate} {text.n_samples} 12-May-2020 12:33:59"
    text = replace(text, record_line=text.record_line or line, comments=text.comments or comments)
    expected = {"lead_names": list(TWELVE_LEADS), "patient_id": None, "report": None, **(columns or {})}
    return write_record(root, f"training/{source}/g1/{name}", text, columns=expected)


def write_challenge_corpus(root: Path, corpus: str, source: str, names: Sequence[str]) -> WrittenCorpus:
    """Two records of a source of the challenge."""
    first = write_challenge_record(
        root,
        source,
        names[0],
        dx="164889003,,59118001, 164889003,",
        columns={"age_years": 56.0, "sex": 1, "labels": ["164889003", "59118001"]},
    )
    second = write_challenge_record(
        root, source, names[1], age="NaN", sex="Male", dx="", columns={"age_years": None, "sex": 0, "labels": []}
    )
    return WrittenCorpus(corpus, root, dict(zip(names, (first, second), strict=True)))


INCART_COMMENTS = {
    "I01": ("#<age>: 65 <sex>: F <diagnoses> Coronary artery disease, arterial hypertension", "# patient 1"),
    "I02": ("#<age>: 51 <sex>: M ", "# patient 1"),
    "I08": ("#<age>: 51 <sex>: M <diagnoses> Acute MI", "# patient 4"),
}


def write_incart(root: Path) -> WrittenCorpus:
    """Three records of two patients, with beats."""
    rows = {}
    for name, comments in INCART_COMMENTS.items():
        text = RecordText(257, 771, 306.0, "306", comments=(*comments, "# PVCs, noise"))
        rows[name] = write_record(root, name, text, [SignalFile(".dat")])
        wfdb.wrann(
            name,
            "atr",
            sample=np.array([10, 257, 514, 600]),
            symbol=["+", "N", "V", "N"],
            aux_note=["(AFIB", "", "", ""],
            fs=257,
            write_dir=str(root),
        )
    columns = {"native_labels": ["(AFIB", "N", "V"], "labels": ["164889003", "427172004"]}
    reports = ("Coronary artery disease, arterial hypertension\nPVCs, noise", "PVCs, noise", "Acute MI\nPVCs, noise")
    patients = (("1", 65.0, 1), ("1", 51.0, 0), ("4", 51.0, 0))
    for name, report, (patient, age, sex) in zip(INCART_COMMENTS, reports, patients, strict=True):
        known = {
            "report": report,
            "patient_id": patient,
            "age_years": age,
            "sex": sex,
            "lead_names": list(TWELVE_LEADS),
        }
        rows[name].columns.update(columns | known)
    return WrittenCorpus("incart", root, rows)


PTB_LEADS = ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6")
FRANK_LEADS = ("vx", "vy", "vz")


def ptb_comments(reason: str, acute: str = "no", former: str = "no", additional: str = "no") -> tuple[str, ...]:
    """Comments of a header of PTB, as far as they matter here."""
    return (
        *("#", "# age: 81", "# sex: female", "# ECG date: 01/10/1990", "#", "# Diagnose:"),
        f"# Reason for admission: {reason}",
        f"# Acute infarction (localization): {acute}",
        f"# Former infarction (localization): {former}",
        f"# Additional diagnoses: {additional}",
        *("# Smoker: no", "#", "# Hemodynamics:", "# Catheterization date: 16-Oct-90"),
    )


def write_ptb(root: Path) -> WrittenCorpus:
    """Three records of two patients, the Frank leads in files of their own."""
    texts = {
        "patient001/s0010_re": ptb_comments("Myocardial infarction", "infero-latera", "no", "Diabetes mellitus"),
        "patient001/s0014lre": ptb_comments("n/a", "n/a", "n/a", "n/a"),
        "patient004/s0020are": ptb_comments("Healthy control"),
    }
    labels = {"s0010_re": (["Myocardial infarction"], ["164865005"]), "s0020are": (["Healthy control"], [])}
    report = "Acute infarction (localization): infero-latera\nAdditional diagnoses: Diabetes mellitus"
    rows = {}
    for stem, comments in texts.items():
        patient, name = stem.split("/")
        native, snomed = labels.get(name, ([], []))
        columns = {
            "patient_id": patient,
            "native_labels": native,
            "labels": snomed,
            "report": report if name == "s0010_re" else None,
            "age_years": 81.0,
            "sex": 1,
            "lead_names": [*TWELVE_LEADS, "VX", "VY", "VZ"],
        }
        text = RecordText(1000, 900, 2000.0, "2000", comments=comments)
        rows[name] = write_record(
            root, stem, text, [SignalFile(".dat", PTB_LEADS), SignalFile(".xyz", FRANK_LEADS)], columns
        )
    return WrittenCorpus("ptb", root, rows)


@dataclass(frozen=True)
class PTBXLRow:
    """A row of `ptbxl_database.csv`, as far as it matters here."""

    ecg_id: int
    strat_fold: int
    scp_codes: dict[str, float] = field(default_factory=lambda: {"NORM": 100.0, "SR": 0.0})
    patient_id: str = "15709.0"
    age: str = "56.0"
    sex: str = "1"
    height: str = ""
    weight: str = "63.0"
    report: str = "sinusrhythmus, normales ekg"

    def cells(self) -> dict[str, str]:
        folder = f"{self.ecg_id // 1000:02}000"
        return {
            **{name: str(value) for name, value in vars(self).items()},
            "nurse": "2.0",
            "filename_lr": f"records100/{folder}/{self.ecg_id:05}_lr",
            "filename_hr": f"records500/{folder}/{self.ecg_id:05}_hr",
        }


PTB_XL_ROWS = (
    PTBXLRow(1, 3, {"NORM": 100.0, "LVOLT": 0.0, "SR": 0.0}),
    PTBXLRow(2, 9, {"IMI": 35.0, "AFIB": 0.0}, "13243.0", "300.0", "0", "180.0", "", "vorhofflimmern\nmit 2 Zeilen"),
    PTBXLRow(3, 10, {"CLBBB": 80.0}, patient_id="20372.0", report=""),
)


def write_ptb_xl_table(root: Path, rows: Sequence[PTBXLRow] = PTB_XL_ROWS) -> Path:
    path = root / "ptbxl_database.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0].cells()))
        writer.writeheader()
        writer.writerows(row.cells() for row in rows)
    return path


PTB_XL_COLUMNS = {
    1: {
        "split": "train",
        "fold": 3,
        "patient_id": "15709",
        "age_years": 56.0,
        "sex": 1,
        "weight_kg": 63.0,
        "height_cm": None,
        "native_labels": ["NORM", "LVOLT", "SR"],
        "likelihoods": [100.0, 0.0, 0.0],
        "labels": ["164854000", "251146004", "426783006"],
        "superclasses": ["NORM"],
        "report": "sinusrhythmus, normales ekg",
    },
    2: {
        "split": "validation",
        "fold": 9,
        "patient_id": "13243",
        "age_years": 90.0,
        "sex": 0,
        "weight_kg": None,
        "height_cm": 180.0,
        "native_labels": ["IMI", "AFIB"],
        "likelihoods": [35.0, 0.0],
        "superclasses": ["MI"],
        "report": "vorhofflimmern\nmit 2 Zeilen",
    },
    3: {"split": "test", "fold": 10, "patient_id": "20372", "superclasses": ["CD"], "report": None},
}


def write_ptb_xl(root: Path, sampling_rate: int = 500) -> WrittenCorpus:
    """Three records, one of each split, at both rates."""
    write_ptb_xl_table(root)
    rows = {}
    for row in PTB_XL_ROWS:
        columns = PTB_XL_COLUMNS[row.ecg_id] | {"lead_names": list(TWELVE_LEADS)}
        for rate, column in {500: "filename_hr", 100: "filename_lr"}.items():
            stem = row.cells()[column]
            text = RecordText(rate, rate * 2, gain_text="1000.0(0)/mV", comments=("#Dx: Abnormal", "#Age: 1"))
            written = write_record(root, stem, text, [SignalFile(".dat")], columns)
            if rate == sampling_rate:
                rows[Path(stem).name] = written
    return WrittenCorpus("ptb-xl", root, rows, {} if sampling_rate == 500 else {"sampling_rate": sampling_rate})


class SiteBattery(CorpusBattery):
    """For corpora written as they lie on their official site, at `site` of PhysioNet; adds tests of the download."""

    site: str

    @pytest.fixture
    def server(self):
        with CorpusServer() as server:
            yield server

    def serve(self, server: CorpusServer, corpus: WrittenCorpus) -> None:
        """Serves a corpus, and beside it a record of another one."""
        other = corpus.root / "training/other/g1/X0001.hea"
        other.parent.mkdir(parents=True)
        other.write_text("X0001 1 500 10\n")
        sums = []
        for path in sorted(path for path in corpus.root.rglob("*") if path.is_file()):
            name = path.relative_to(corpus.root).as_posix()
            server.serve(f"{self.site}/{name}", path.read_bytes())
            sums.append(f"{Checksum('sha256', '0' * 64).of_file(path).digest} {name}\n")
        server.serve(f"{self.site}/SHA256SUMS.txt", "".join(sums))

    def test_it_is_downloaded_once_and_alone(self, corpus, cache_dir, server):
        expected = all_rows(corpus.load(cache_dir / "local"))
        self.serve(server, corpus)
        for _ in range(2):
            found = load_corpus(corpus.name, cache_dir=cache_dir, base_url=server.url, **corpus.options)
            rows = all_rows(found)
            assert list(rows) == list(expected)
            for record_id, row in rows.items():
                assert_same_row(row, expected[record_id])
        assert len(server.paths()) == len(set(server.paths()))
        assert not any("other" in path for path in server.paths())

    def test_a_stream_fetches_only_what_it_reads(self, corpus, cache_dir, server):
        expected = all_rows(corpus.load(cache_dir / "local"))
        self.serve(server, corpus)
        found = load_corpus(corpus.name, cache_dir=cache_dir, base_url=server.url, streaming=True, **corpus.options)
        assert not any(path.endswith((".hea", ".dat", ".mat")) for path in server.paths())
        row = next(iter(next(iter(found.values()))))
        assert_same_row(row, expected[row["record_id"]])
        unread = set(expected) - {row["record_id"]}
        assert not any(Path(path).stem in unread for path in server.paths())


def written_report(name: str, root: Path, cache_dir: Path, **options):
    """Prepares a corpus; its rows by record id, and its report."""
    builder = corpus_builder(name, root, cache_dir=cache_dir, **options)
    builder.download_and_prepare()
    return all_rows(builder.as_dataset()), builder.report
