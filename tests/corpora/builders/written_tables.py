# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Small corpora on disk whose labels stand in tables or annotation files, in the layouts of their own releases."""

import csv
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import wfdb
from tests.corpora.builders.battery import WrittenCorpus, WrittenRow
from tests.corpora.builders.written_corpora import TWELVE_LEADS, RecordText, SignalFile, write_record

from anyecg_hf.records import StoredSignal

MIMIC_LEADS = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], has_header: bool = True) -> Path:
    """Writes a CSV table whose columns are the keys of the first row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        if has_header:
            writer.writeheader()
        writer.writerows(rows)
    return path


def float_signal(seed: str, n_leads: int, n_samples: int, dtype: str) -> StoredSignal:
    """Random millivolts, none of them zero in all leads."""
    generator = np.random.default_rng(zlib.crc32(seed.encode()))
    samples = generator.uniform(0.1, 2.0, (n_leads, n_samples)).astype(dtype)
    return StoredSignal(samples, np.ones(n_leads), np.zeros(n_leads), ("mV",) * n_leads)


def write_mit_bih(root: Path) -> WrittenCorpus:
    """Three records of two patients with beats; one age is not known."""
    comments = {
        "100": ("# 69 M 1085 1629 x1", "# Aldomet, Inderal"),
        "201": ("# -1 M 1960 654 x1", "# Digoxin", "# The PVCs are uniform."),
        "202": ("# 89 F 1960 654 x1",),
    }
    columns = {
        "100": {"patient_id": "100", "age_years": 69.0, "sex": 0, "report": "Aldomet, Inderal"},
        "201": {"patient_id": "201", "age_years": None, "sex": 0, "report": "Digoxin\nThe PVCs are uniform."},
        "202": {"patient_id": "201", "age_years": 89.0, "sex": 1, "report": None},
    }
    labels = {"native_labels": ["(N", "(AFIB", "~", "V", "N"], "labels": ["426783006", "164889003", "427172004"]}
    rows = {}
    for name, lines in comments.items():
        text = RecordText(360, 720, 200.0, "200", comments=lines)
        leads = {"lead_names": ["MLII", "V1"]}
        rows[name] = write_record(
            root, name, text, [SignalFile(".dat", ("MLII", "V1"))], columns[name] | labels | leads
        )
        write_beats(root, name)
    return WrittenCorpus("mit-bih", root, rows)


def write_beats(root: Path, name: str) -> None:
    """Annotations with two rhythms, two kinds of beats, noise, an artefact and a comment."""
    wfdb.wrann(
        name,
        "atr",
        sample=np.array([5, 18, 90, 180, 200, 300, 400]),
        symbol=["+", "~", "V", "N", "|", "+", '"'],
        aux_note=["(N", "", "", "", "", "(AFIB", "TS"],
        fs=360,
        write_dir=str(root),
    )


LUDB_LEADS = tuple(name.lower() for name in TWELVE_LEADS)
LUDB_ROWS = (
    {
        "ID": "1",
        "Sex": "F\n",
        "Age": "51\n",
        "Rhythms": "Sinus bradycardia",
        "Electric axis of the heart": "Electric axis of the heart: normal",
        "Hypertrophies": "Left ventricular overload\nLeft ventricular hypertrophy",
    },
    {
        "ID": "34",
        "Sex": "M\n",
        "Age": ">89\n",
        "Rhythms": "Atrial fibrillation",
        "Electric axis of the heart": "",
        "Hypertrophies": "",
    },
    {
        "ID": "7",
        "Sex": "M\n",
        "Age": "50\n",
        "Rhythms": "Sinus rhythm",
        "Electric axis of the heart": "",
        "Hypertrophies": "",
    },
)


def write_ludb(root: Path, ids: Iterable[str] = ("1", "34")) -> WrittenCorpus:
    """Two of three records of the table, with one wave in every lead."""
    write_table(root / "ludb.csv", LUDB_ROWS)
    columns = {
        "1": {
            "age_years": 51.0,
            "sex": 1,
            "native_labels": [
                "Sinus bradycardia",
                "Electric axis of the heart: normal",
                "Left ventricular overload",
                "Left ventricular hypertrophy",
            ],
            "labels": ["426177001", "164873001"],
        },
        "34": {"age_years": 90.0, "sex": 0, "native_labels": ["Atrial fibrillation"], "labels": ["164889003"]},
    }
    rows = {}
    for name in ids:
        text = RecordText(500, 600, 1716.0, "1716/mV", comments=("#<age>: 12", "#<sex>: M", "#<diagnoses>:"))
        known = {"patient_id": name, "report": None, "lead_names": list(TWELVE_LEADS)}
        rows[name] = write_record(
            root, f"data/{name}", text, [SignalFile(".dat", LUDB_LEADS)], columns.get(name, {}) | known
        )
        for number, lead in enumerate(LUDB_LEADS):
            sample = np.array([100, 110, 120]) + number
            wfdb.wrann(name, "atr", sample=sample, symbol=["(", "p", ")"], fs=500, write_dir=str(root / "data"))
            # wfdb writes no annotators with digits in their name.
            (root / f"data/{name}.atr").rename(root / f"data/{name}.{lead}")
    return WrittenCorpus("ludb", root, rows)


def write_cinc2017(root: Path) -> WrittenCorpus:
    """Two records, as PhysioNet lays them out, with the labels of the last revision and one label more."""
    labels = {"A00001": "N", "A01002": "~", "A02003": "A"}
    write_table(root / "REFERENCE-v3.csv", [{"record": key, "label": labels[key]} for key in labels], has_header=False)
    rows = {}
    for name, codes in {"A00001": ["426783006"], "A01002": []}.items():
        text = RecordText(300, 900, record_line=f"{name} 1 300 900 05:05:15 1/05/2000 ")
        columns = {"native_labels": [labels[name]], "labels": codes, "lead_names": ["unknown"], "patient_id": None}
        rows[name] = write_record(root, f"training/{name[:3]}/{name}", text, [SignalFile(".mat", ("ECG",))], columns)
    return WrittenCorpus("cinc2017", root, rows)


def write_cinc2011(root: Path) -> WrittenCorpus:
    """Two graded records and an undecided one of the training set, and one of the test set."""
    records = {
        "set-a/1002603": ("# Age: 0 ", "unacceptable"),
        "set-a/1002867": ("# Age: 90", "acceptable"),
        "set-a/1003574": ("# Age: 33", None),
        "set-b/1001234": ("# Age: 40", None),
    }
    rows = {}
    for stem, (comment, quality) in records.items():
        ages = {"# Age: 0 ": None, "# Age: 90": 90.0, "# Age: 33": 33.0, "# Age: 40": 40.0}
        columns = {
            "native_labels": [quality] if quality else [],
            "labels": [],
            "split": "test" if stem.startswith("set-b") else "train",
            "age_years": ages[comment],
            "lead_names": list(TWELVE_LEADS),
        }
        text = RecordText(500, 600, 200.0, "200", comments=(comment,))
        rows[Path(stem).name] = write_record(root, stem, text, [SignalFile(".dat")], columns)
        if quality:
            (root / f"set-a/RECORDS-{quality}").write_text(f"{Path(stem).name}\n", encoding="utf-8")
    return WrittenCorpus("cinc2011", root, rows)


SPH_ROWS = (
    {"ECG_ID": "A00001", "AHA_Code": "22;60+310", "Patient_ID": "S00001", "Age": "55", "Sex": "M", "N": "500"},
    {"ECG_ID": "A00002", "AHA_Code": "1;1", "Patient_ID": "S00001", "Age": "93", "Sex": "F", "N": "700"},
    {"ECG_ID": "A00003", "AHA_Code": "1", "Patient_ID": "S00003", "Age": "40", "Sex": "F", "N": "500"},
)


def write_sph(root: Path, prefix: str = "A") -> WrittenCorpus:
    """Two records of one patient, of different lengths, and a row without a record."""
    table = [{"": number, **row, "Date": "2020-03-04"} for number, row in enumerate(SPH_ROWS)]
    write_table(root / "metadata.csv", table)
    columns = {
        "A00001": {
            "native_labels": ["22", "60+310"],
            "labels": ["426177001", "427172004"],
            "age_years": 55.0,
            "sex": 0,
        },
        "A00002": {"native_labels": ["1"], "labels": ["164854000"], "age_years": 90.0, "sex": 1},
    }
    known = {"patient_id": "S00001", "sampling_rate": 500.0, "lead_names": list(TWELVE_LEADS)}
    (root / "records").mkdir(parents=True, exist_ok=True)
    rows = {}
    for row in SPH_ROWS[:2]:
        name = row["ECG_ID"]
        path = f"records/{prefix}{name[1:]}.h5"
        signal = float_signal(name, 12, int(row["N"]), "float16")
        with h5py.File(root / path, "w") as file:
            file["ecg"] = signal.samples
        rows[name] = WrittenRow(signal, (path,), columns[name] | known)
    return WrittenCorpus("sph", root, rows)


def code_row(exam_id: int, part: int, patient: int = 1, **cells: Any) -> dict[str, Any]:
    """A row of `exams.csv`."""
    flags = dict.fromkeys(("1dAVb", "RBBB", "LBBB", "SB", "ST", "AF"), False)
    row = {"exam_id": exam_id, "age": 40, "is_male": True, "nn_predicted_age": 41.5, **flags, "patient_id": patient}
    return row | {"death": "", "timey": "", "normal_ecg": False, "trace_file": f"exams_part{part}.hdf5"} | cells


def write_tracings(path: Path, exams: Mapping[int, StoredSignal | None], n_samples: int = 1024) -> None:
    """Exams in the middle of zeros, `None` for one of zeros only, and the filler row at the end."""
    tracings = np.zeros((len(exams) + 1, n_samples, 12), dtype=np.float32)
    for row, signal in enumerate(exams.values()):
        if signal is not None:
            first = (n_samples - signal.samples.shape[1]) // 2
            tracings[row, first : first + signal.samples.shape[1]] = signal.samples.T
    with h5py.File(path, "w") as file:
        file["exam_id"] = np.array([*exams, 0], dtype=np.int64)
        file["tracings"] = tracings


CODE_TABLE = (
    code_row(30, part=1, age=93, is_male=False, normal_ecg=True),
    code_row(20, part=0, patient=7, AF=True, RBBB=True),
    code_row(10, part=0, patient=7, age=55),
)


def write_code_15(root: Path) -> WrittenCorpus:
    """Three exams of two patients in two files, whose rows stand in another order than those of the table."""
    write_table(root / "exams.csv", CODE_TABLE)
    lengths = {10: 700, 20: 1024, 30: 301}
    signals = {exam: float_signal(str(exam), 12, length, "float32") for exam, length in lengths.items()}
    write_tracings(root / "exams_part0.hdf5", {10: signals[10], 20: signals[20]})
    write_tracings(root / "exams_part1.hdf5", {30: signals[30]})
    columns = {
        10: {"patient_id": "7", "age_years": 55.0, "sex": 0, "native_labels": [], "labels": []},
        20: {"patient_id": "7", "native_labels": ["RBBB", "AF"], "labels": ["59118001", "164889003"]},
        30: {"age_years": 90.0, "sex": 1, "native_labels": ["normal_ecg"], "labels": ["164854000"]},
    }
    known = {"sampling_rate": 400.0, "lead_names": list(TWELVE_LEADS), "report": None}
    rows = {str(exam): WrittenRow(signals[exam], (), columns[exam] | known) for exam in lengths}
    return WrittenCorpus("code-15", root, rows)


def write_code_wfdb(root: Path, name: str, *comments: str) -> WrittenRow:
    """A record of the Challenge 2025."""
    return write_record(root, name, RecordText(400, 600, comments=comments), [SignalFile(".dat")])


def mimic_path(subject: str, study: str) -> str:
    return f"files/p{subject[:4]}/p{subject}/s{study}/{study}"


MIMIC_STATEMENTS = {
    "40689238": ("Sinus rhythm", "Abnormal ECG"),
    "44458630": ("Atrial fibrillation.",),
    "49036311": (),
}
MIMIC_STUDIES = {
    "40689238": ("10000032", "2180-07-23 08:44:00"),
    "44458630": ("10000032", "2180-07-23 09:54:00"),
    "49036311": ("10000117", "2181-03-04 17:14:00"),
    "45090959": ("10000980", "2181-03-04 17:14:00"),
}


def write_mimic(root: Path) -> WrittenCorpus:
    """Three records of two patients; the lists have one more."""
    listed = [
        {"subject_id": subject, "study_id": study, "file_name": study, "ecg_time": time}
        | {"path": mimic_path(subject, study)}
        for study, (subject, time) in MIMIC_STUDIES.items()
    ]
    write_table(root / "record_list.csv", listed)
    write_table(
        root / "machine_measurements.csv",
        [
            {"subject_id": MIMIC_STUDIES[study][0], "study_id": study}
            | {f"report_{number}": dict(enumerate(texts)).get(number, "") for number in range(18)}
            | {"rr_interval": 800}
            for study, texts in MIMIC_STATEMENTS.items()
        ],
    )
    codes = {"40689238": ["426783006", "102594003"], "44458630": ["164889003"], "49036311": []}
    rows = {}
    for study, texts in MIMIC_STATEMENTS.items():
        subject, time = MIMIC_STUDIES[study]
        stem = mimic_path(subject, study)
        text = RecordText(500, 600, 200.0, "200.0(0)/mV", record_line=f"{study} 12 500 600 {time[11:]} 23/07/2180")
        columns = {
            "patient_id": subject,
            "native_labels": list(texts),
            "labels": codes[study],
            "report": "\n".join(texts) or None,
            "lead_names": list(MIMIC_LEADS),
            "age_years": None,
            "sex": None,
        }
        rows[study] = write_record(root, stem, text, [SignalFile(".dat", MIMIC_LEADS)], columns)
    return WrittenCorpus("mimic-iv-ecg", root, rows)


def write_folder(root: Path, labels_csv: Path) -> WrittenCorpus:
    """A WFDB record and a table of text in sub-folders, one of each split, labels beside them."""
    first = write_record(root, "ward Ä/one.1", RecordText(250, 500, comments=("# Age: 70",)), [SignalFile(".dat")])
    second = float_signal("second", 12, 300, "float32")
    (root / "b").mkdir(parents=True)
    np.savez(root / "b/two.npz", signal=second.samples, sampling_rate=100, lead_names=list(TWELVE_LEADS), unit="mV")
    write_table(
        labels_csv,
        [
            {"record": "ward Ä/one.1", "labels": "426783006; 164889003", "patient_id": "p1", "age_years": ""}
            | {"sex": "F", "split": "", "fold": "3", "report": "so, so\nund so"},
            {"record": "two.npz", "labels": "", "patient_id": "p2", "age_years": ">89"}
            | {"sex": "male", "split": "test", "fold": "", "report": ""},
        ],
    )
    known = {"lead_names": list(TWELVE_LEADS), "corpus": "folder"}
    first.columns.update(
        known
        | {"native_labels": ["426783006", "164889003"], "labels": ["426783006", "164889003"], "patient_id": "p1"}
        | {"age_years": 70.0, "sex": 1, "split": "train", "fold": 3, "report": "so, so\nund so"}
    )
    columns = {"native_labels": [], "labels": [], "patient_id": "p2", "age_years": 90.0, "sex": 0, "split": "test"}
    rows = {
        "b/two": WrittenRow(second, ("b/two.npz",), known | columns | {"sampling_rate": 100.0, "report": None}),
        "ward Ä/one.1": first,
    }
    return WrittenCorpus("folder", root, rows, {"labels_csv": str(labels_csv), "label_system": "snomed"})
