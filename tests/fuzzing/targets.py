# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The files that are broken: headers of records, and what a downloaded checkpoint consists of."""

import json
import shutil
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors.torch import load_file
from tests.fuzzing.mutations import broken_bytes, broken_json, broken_text
from tests.fuzzing.watching import Target
from tests.models.ecg_signals import heartbeats
from tests.models.tiny import padded_batch, tiny_config, tiny_quantizer_config
from tests.records.written_dicom import Channel as WaveformChannel
from tests.records.written_dicom import group, write_dicom
from tests.records.written_edf import Channel, write_edf
from tests.records.written_scp import write_scp
from tests.records.written_xml import (
    aecg_lead,
    aecg_set,
    aecg_time,
    muse_lead,
    muse_waveform,
    write_aecg,
    write_muse,
    write_philips,
)

from anyecg_hf import (
    AnyECGConfig,
    AnyECGForSequenceClassification,
    AnyECGModel,
    AnyECGQuantizerConfig,
    AnyECGRhythmQuantizer,
    AnyECGTokenizer,
)
from anyecg_hf.models.anyecg.checkpoint_files_anyecg import check_index
from anyecg_hf.records import RecordError, open_record
from anyecg_hf.records.wfdb_source import import_wfdb
from anyecg_hf.training.adapters import ADAPTER_FILE, MODEL_CONFIG_FILE, adapt, load_adapted, parse_lora, save_adapted

LEADS = ("I", "II")
TWELVE = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
TOLD = {"sampling_rate": 500, "unit": "mV", "lead_names": LEADS}
COUNTS = np.random.default_rng(0).integers(-2000, 2000, (2, 600)).astype("<i2")
# As on the command line: what else comes out of loading a checkpoint would be a traceback there.
CHECKPOINT_ERRORS = (ValueError, OSError, StrictDataclassError)
# What a configuration does not have, and what must not be taken from a file.
ODD_FIELDS = [
    *("num_labels", "torch_dtype", "dtype", "attn_implementation", "_attn_implementation", "auto_map", "to_dict"),
    *("quantization_config", "transformers_weights", "validate_architecture", "head_size", "return_dict"),
    *("name_or_path", "gradient_checkpointing", "use_cache", "unknown_field", "__class__", "config_version"),
    "output_attentions",
]  # fmt: skip


def read_whole(file: str, folder: Path, **told) -> None:
    with open_record(folder / file, **told) as source:
        source.to_record()


# Records


def wfdb(folder: Path) -> list[bytes]:
    (folder / "r.dat").write_bytes(COUNTS.T.tobytes())
    lines = "r.dat 16 1000/mV 16 0 0 0 0 {}".format
    plain = ["r 2 500 600", lines("I"), lines("II")]
    odd = [
        "r 2 500/500(0) 300 12:33:59.5 12/05/2020",
        "r.dat 16x2 1000(5)/mV 16 0 0 0 0 I",
        "r.dat 16x2 200 12 1 0 0 0 V1",
    ]
    packed = [
        "r 2 360 400",
        "r.dat 212+24 200(1024)/uV 11 1024 0 0 0 MLII",
        "r.dat 212+24 200(1024)/uV 11 1024 0 0 0 V5",
    ]
    differences = ["r 2 250 600", "r.dat 8:3 200 8 0 0 0 0 I", "r.dat 8:3 200 8 0 0 0 0 II"]
    (folder / "s.hea").write_text("\n".join(["s 2 500 600", lines("I"), lines("II")]))
    joined = ["r/2 2 500 1200", "s 600", "s 600"]
    gaps = ["r/3 2 500 1800", "s 600", "~ 600", "s 600"]
    comments = ["# Age: 67", "# Sex: F", "# Dx: 426783006,59118001"]
    records = (plain + comments, odd, packed, differences, joined, gaps)
    return ["\n".join([*record, ""]).encode() for record in records]  # fmt: skip


def edf(folder: Path) -> list[bytes]:
    channels = [Channel(f"ECG {name}", COUNTS[0, :500]) for name in LEADS]
    plain = write_edf(folder / "plain.edf", channels, annotations=[(0.5, -1, "beat")]).read_bytes()
    bdf = write_edf(folder / "b.bdf", [Channel("I", COUNTS[1, :500], digital=(-8388608, 8388607))], kind=3).read_bytes()
    return [plain, bdf]


def csv(folder: Path) -> list[bytes]:
    rows = COUNTS.T[:60] / 1000
    plain = "\n".join(",".join(f"{value:.3f}" for value in row) for row in rows)
    timed = "\n".join(f"{number / 500:.3f};{row[0]:.3f};{row[1]:.3f}" for number, row in enumerate(rows))
    return [f"I (mV),II (mV)\n{plain}\n".encode(), f"time;I;II\n{timed}\n".encode(), plain.encode()]


def npy(folder: Path) -> list[bytes]:
    np.save(folder / "plain.npy", COUNTS.astype(np.float32) / 1000)
    np.save(folder / "fortran.npy", np.asfortranarray(COUNTS))
    return [(folder / name).read_bytes() for name in ("plain.npy", "fortran.npy")]


def npz(folder: Path) -> list[bytes]:
    fields = {"sampling_rate": 500, "lead_names": list(LEADS), "unit": "mV"}
    np.savez(folder / "plain.npz", signal=COUNTS / 1000, **fields)
    np.savez_compressed(folder / "packed.npz", signal=COUNTS.astype(np.float32), age_years=67, **fields)
    return [(folder / name).read_bytes() for name in ("plain.npz", "packed.npz")]


def hdf5(folder: Path) -> list[bytes]:
    for name, options in (("plain.h5", {}), ("packed.h5", {"compression": "gzip", "chunks": (1, 100)})):
        with h5py.File(folder / name, "w") as file:
            file.create_dataset("signal", data=COUNTS / 1000, **options)
            file["signal"].attrs.update({"sampling_rate": 500, "unit": "mV", "lead_names": list(LEADS)})
    return [(folder / name).read_bytes() for name in ("plain.h5", "packed.h5")]


def dicom(folder: Path) -> list[bytes]:
    channels = [WaveformChannel(), WaveformChannel("2:2", "Lead II")]
    for name, is_big in (("little.dcm", False), ("big.dcm", True)):
        write_dicom(folder / name, [group(COUNTS, channels)], big_endian=is_big)
    return [(folder / name).read_bytes() for name in ("little.dcm", "big.dcm")]


def scp(folder: Path) -> list[bytes]:
    leads = dict(zip(LEADS, COUNTS[:, :200], strict=True))
    plain = write_scp(folder / "plain.scp", leads).read_bytes()
    return [plain, write_scp(folder / "packed.scp", leads, order=2, huffman=True).read_bytes()]


def xml(folder: Path) -> list[bytes]:
    short = COUNTS[:, :100]
    leads = [aecg_lead(f"MDC_ECG_LEAD_{name}", row) for name, row in zip(LEADS, short, strict=True)]
    muse = muse_waveform([muse_lead(name, row) for name, row in zip(LEADS, short, strict=True)])
    paths = (
        write_aecg(folder / "aecg.xml", [aecg_set(aecg_time(), *leads)]),
        write_muse(folder / "muse.xml", [muse]),
        write_philips(folder / "philips.xml", dict(zip(TWELVE, [*short] * 6, strict=True)), encoding="utf-8"),
        write_philips(folder / "plain.xml", dict(zip(LEADS, short, strict=True)), xli=False, encoding="utf-8"),
    )
    return [path.read_bytes() for path in paths]


def annotations(folder: Path) -> list[bytes]:
    (folder / "r.hea").write_bytes(wfdb(folder)[0])
    places, symbols = np.array([10, 200, 590]), ["N", "+", '"']
    library = import_wfdb()
    library.wrann("a", "atr", places, symbols, aux_note=["", "(AFIB", "noise"], fs=500, write_dir=str(folder))
    return [(folder / "a.atr").read_bytes()]


def read_annotations(folder: Path) -> None:
    with open_record(folder / "r") as source:
        source.read_annotations()


# Checkpoints


def checkpoint(folder: Path, file: str = "config.json") -> list[bytes]:
    torch.manual_seed(0)
    AnyECGForSequenceClassification(tiny_config(time_encoding="rotary")).save_pretrained(folder)
    AnyECGTokenizer(patch_size=75).save_pretrained(folder)
    return [(folder / file).read_bytes()]


def read_config(folder: Path) -> None:
    """Config, model and one answer: what passes the checks must work."""
    config = AnyECGConfig.from_pretrained(folder)
    model = AnyECGModel.from_pretrained(folder, config=config)
    batch = padded_batch(config.patch_size)
    with torch.no_grad():
        model(**batch, scale=torch.ones(2))


def quantizer(folder: Path) -> list[bytes]:
    torch.manual_seed(0)
    AnyECGRhythmQuantizer(tiny_quantizer_config()).save_pretrained(folder)
    return [(folder / "config.json").read_bytes()]


def read_quantizer(folder: Path) -> None:
    config = AnyECGQuantizerConfig.from_pretrained(folder)
    AnyECGRhythmQuantizer.from_pretrained(folder, config=config)


def read_tokenizer(folder: Path) -> None:
    """Settings, and a record cleaned with them."""
    tokenizer = AnyECGTokenizer.from_pretrained(folder)
    tokenizer.clean(heartbeats(1, 6, 250), sampling_rate=250, lead_names=["II"])


def index(folder: Path) -> list[bytes]:
    checkpoint(folder)
    names = list(load_file(folder / "model.safetensors"))
    (folder / "model.safetensors").rename(folder / "all.safetensors")
    (folder.parent / "outside.safetensors").write_bytes((folder / "all.safetensors").read_bytes())
    content = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(names, "all.safetensors")}
    few = {"metadata": {}, "weight_map": {names[0]: "all.safetensors", "x": "../outside.safetensors"}}
    return [json.dumps(content).encode(), json.dumps(few).encode()]


def read_index(folder: Path) -> None:
    check_index(folder / "model.safetensors.index.json")
    AnyECGModel.from_pretrained(folder)


def adapter(folder: Path, file: str) -> list[bytes]:
    base = folder / "base"
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir()
    checkpoint(base)
    # Not this base's own place: a broken file must not name another folder by chance.
    model = adapt(AnyECGForSequenceClassification.from_pretrained(base), parse_lora("r=2"))
    save_adapted(model, folder)
    return [(folder / file).read_bytes()]


def read_adapter(folder: Path) -> None:
    load_adapted(folder, base=folder / "base")


_CONFIG = partial(broken_json, further=ODD_FIELDS)

TARGETS = (
    Target("WFDB header", "r.hea", wfdb, broken_text, partial(read_whole, "r"), (RecordError,)),
    Target("EDF, BDF", "r.edf", edf, broken_bytes, partial(read_whole, "r.edf"), (RecordError,)),
    Target("CSV", "r.csv", csv, broken_text, partial(read_whole, "r.csv", **TOLD), (RecordError,)),
    Target("NumPy .npy", "r.npy", npy, broken_bytes, partial(read_whole, "r.npy", **TOLD), (RecordError,)),
    Target("NumPy .npz", "r.npz", npz, broken_bytes, partial(read_whole, "r.npz"), (RecordError,)),
    Target("HDF5", "r.h5", hdf5, broken_bytes, partial(read_whole, "r.h5"), (RecordError,)),
    Target("DICOM", "r.dcm", dicom, broken_bytes, partial(read_whole, "r.dcm"), (RecordError,)),
    Target("SCP-ECG", "r.scp", scp, broken_bytes, partial(read_whole, "r.scp"), (RecordError,)),
    Target("XML (aECG, MUSE, Philips)", "r.xml", xml, broken_text, partial(read_whole, "r.xml"), (RecordError,)),
    Target("WFDB annotations", "r.atr", annotations, broken_bytes, read_annotations, (RecordError,)),
    Target("config.json of a model", "config.json", checkpoint, _CONFIG, read_config, CHECKPOINT_ERRORS),
    Target("config.json of a quantizer", "config.json", quantizer, _CONFIG, read_quantizer, CHECKPOINT_ERRORS),
    Target(
        *("preprocessor_config.json", "preprocessor_config.json"),
        *(partial(checkpoint, file="preprocessor_config.json"), _CONFIG, read_tokenizer, CHECKPOINT_ERRORS),
    ),
    Target(
        *("model.safetensors", "model.safetensors", partial(checkpoint, file="model.safetensors")),
        *(broken_bytes, AnyECGModel.from_pretrained, CHECKPOINT_ERRORS),
    ),
    Target(
        *("model.safetensors.index.json", "model.safetensors.index.json", index),
        *(partial(broken_json, further=["x"]), read_index, CHECKPOINT_ERRORS),
    ),
    Target(
        *("adapter_config.json", ADAPTER_FILE, partial(adapter, file=ADAPTER_FILE)),
        *(partial(broken_json, further=["x"]), read_adapter, CHECKPOINT_ERRORS),
    ),
    Target(
        *("model_config.json of an adapter", MODEL_CONFIG_FILE, partial(adapter, file=MODEL_CONFIG_FILE)),
        *(_CONFIG, read_adapter, CHECKPOINT_ERRORS),
    ),
)
