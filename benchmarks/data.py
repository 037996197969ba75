# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Measures corpora from WFDB to Parquet and from Parquet to batches, beside other readers, and the memory it takes.

python benchmarks/data.py [--records FOLDER]    (of PTB-XL's 500 Hz records; torch_ecg joins where it is installed)
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import datasets
import torch
import wfdb
from reporting import Conditions, benchmark_parser, markdown_table, peak_growth, verdict, write_report

from anyecg_hf import AnyECGTokenizer
from anyecg_hf.corpora import BucketedBatches, clean_corpus, corpus_builder, load_corpus, write_corpus
from anyecg_hf.corpora.cleaned import PATCH_FEATURES
from anyecg_hf.records import find_records, read_record

LIBRARIES = ("anyecg-hf", "datasets", "pyarrow", "wfdb", "numpy", "torch")
INGEST_TARGET, READ_TARGET = 200, 1500  # records a second
OPENECG_RECORDS = 1_233_337  # arXiv 2503.00711, section 3
CORES = 2
BATCH = 64
ROWS_IN_FILE = 148  # half of the records of one copy, so that every corpus has at least one file for each worker
POOL = 128  # for memory: the smallest corpus must fill it
COPIES = (1, 4, 16)
ROUNDS = 3
# How much more memory 16 copies may take than one before it counts as growing with the corpus.
FLAT_RATIO = 1.25


@dataclass
class Contestant:
    """One way to get through records, timed in turns with others of its kind."""

    work: Callable[[], int]
    records_per_s: list[float] = field(default_factory=list)

    def take_turn(self) -> None:
        start = time.perf_counter()
        records = self.work()
        self.records_per_s.append(records / (time.perf_counter() - start))

    @property
    def median(self) -> float:
        return statistics.median(self.records_per_s)


def copy_records(source: Path, target: Path, copies: int) -> Path:
    """So many copies of a folder of records, each in a folder of its own."""
    for number in range(copies):
        shutil.copytree(source, target / f"copy{number:02}")
    return target


def ingest(root: Path, output: Path, form: str, num_proc: int) -> int:
    """WFDB -> Parquet; returns the number of records."""
    shutil.rmtree(output, ignore_errors=True)
    return write_corpus(corpus_builder("folder", root), output, form=form, num_proc=num_proc, shard_mb=50).counts.n_rows


def rdsamp_loop(paths: list[Path]) -> int:
    """What most training code does."""
    for path in paths:
        wfdb.rdsamp(str(path))
    return len(paths)


def read_record_loop(paths: list[Path]) -> int:
    for path in paths:
        read_record(path)
    return len(paths)


def torch_ecg_loop(records: Path) -> Callable[[], int] | None:
    """torch_ecg's reader of PTB-XL, `None` where it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torch_ecg.databases import PTBXL

            reader = PTBXL(records.parent, verbose=0)
    except ImportError:
        return None

    def loop() -> int:
        for name in reader.all_records:
            reader.load_data(name)
        return len(reader.all_records)

    return loop


def write_cleaned(root: Path, output: Path, cache: Path) -> Path:
    """A corpus cleaned once, as Parquet."""
    cleaned = clean_corpus(load_corpus("folder", root, split="train", cache_dir=cache), AnyECGTokenizer())
    output.mkdir(exist_ok=True)
    n_shards = max(CORES, len(cleaned) // ROWS_IN_FILE)
    for number in range(n_shards):
        cleaned.shard(n_shards, number).to_parquet(output / f"cleaned-{number:03}.parquet", batch_size=BATCH)
    return output


def cleaned_stream(folder: Path) -> datasets.IterableDataset:
    files = sorted(map(str, folder.glob("*.parquet")))
    return datasets.load_dataset(
        "parquet", data_files=files, split="train", streaming=True, columns=list(PATCH_FEATURES)
    )


def count_batches(batches) -> int:
    return sum(len(batch["scale"]) for batch in batches)


def read_in_one_process(folder: Path, pool_size: int = 1024) -> int:
    return count_batches(BucketedBatches(cleaned_stream(folder), BATCH, pool_size=pool_size))


def read_in_two_workers(folder: Path) -> int:
    batches = BucketedBatches(cleaned_stream(folder), BATCH)
    return count_batches(torch.utils.data.DataLoader(batches, batch_size=None, num_workers=CORES))


def compete(contestants: dict[str, Contestant]) -> None:
    """All in turns, after one turn to warm up."""
    for _ in range(ROUNDS + 1):
        for contestant in contestants.values():
            contestant.take_turn()
    for contestant in contestants.values():
        contestant.records_per_s.pop(0)


def memory_of(kind: str, root: Path) -> int:
    """
    Most memory in bytes that one way takes beyond what the process held before; measured in a fresh process.

    Args:
        kind (`str`): A key of `MEASURED`.
        root (`Path`): What it works on.
    """
    done = subprocess.run(
        [sys.executable, __file__, "--measure", kind, str(root)], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def ingest_once(root: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ingest(root, Path(folder, "out"), "public", 1)


MEASURED: dict[str, Callable[[Path], object]] = {
    "ingest": ingest_once,
    "training reads": lambda folder: read_in_one_process(folder, POOL),
}


def measure(kind: str, root: Path) -> None:
    """What a fresh process does for `memory_of`."""
    print(json.dumps(peak_growth(lambda: MEASURED[kind](root))))


def speed_tables(records: Path, folder: Path) -> tuple[list[str], dict[str, Contestant]]:
    """Times every way of reading records; returns the report's paragraphs, and the contestants."""
    paths = find_records(records)
    root = copy_records(records, folder / "records", max(COPIES))
    n_records = len(paths) * max(COPIES)
    public, stored = "WFDB -> Parquet, float32 mV for the Hub", "WFDB -> Parquet, as stored (lossless)"
    readers = {
        f"{public}, {CORES} processes": Contestant(lambda: ingest(root, folder / "public", "public", CORES)),
        f"{stored}, {CORES} processes": Contestant(lambda: ingest(root, folder / "stored", "stored", CORES)),
        "`read_record` in a loop (read only, 1 process)": Contestant(lambda: read_record_loop(paths)),
        "`wfdb.rdsamp` in a loop (read only, 1 process)": Contestant(lambda: rdsamp_loop(paths)),
    }
    others = torch_ecg_loop(records)
    if others is not None:
        readers["`torch_ecg` `PTBXL.load_data` in a loop (read only, 1 process)"] = Contestant(others)
    compete(readers)
    cleaned = write_cleaned(root, folder / "cleaned", folder / "cache")
    training = {
        "cleaned Parquet -> batches, 1 process": Contestant(lambda: read_in_one_process(cleaned)),
        f"cleaned Parquet -> batches, {CORES} `DataLoader` workers": Contestant(lambda: read_in_two_workers(cleaned)),
    }
    compete(training)
    contestants = readers | training
    rdsamp = readers["`wfdb.rdsamp` in a loop (read only, 1 process)"].median
    rows = [(name, f"{found.median:.0f}", f"{found.median / rdsamp:.2f}") for name, found in contestants.items()]
    sizes = {
        form: sum(path.stat().st_size for path in (folder / form).rglob("*.parquet")) / n_records
        for form in ("public", "stored")
    }
    source = sum(path.stat().st_size for path in records.rglob("*") if path.is_file()) / len(paths)
    slowest = min(contestants[name].median for name in contestants if "Parquet," in name)
    paragraphs = [
        f"{n_records} records of 12 leads, 10 s, 500 Hz: {max(COPIES)} copies of {len(paths)} of PTB-XL's. Medians of"
        f" {ROUNDS} turns, taken one after another; starting processes counts. Batches are of {BATCH} records, collated"
        f" to float32 patches `(64, 12, 10, 300)`.",
        markdown_table(("way", "records/s", "of `wfdb.rdsamp`"), rows),
        "\n".join(
            [
                verdict("ingest, the slower form", slowest, INGEST_TARGET, " records/s", at_least=True),
                verdict(
                    "training reads, 1 process",
                    training["cleaned Parquet -> batches, 1 process"].median,
                    READ_TARGET,
                    " records/s",
                    at_least=True,
                ),
            ]
        ),
        "## OpenECG's corpora",
        f"Its {OPENECG_RECORDS:,} records, were they all like these, on {CORES} cores:",
        markdown_table(
            ("", "time", "disk"),
            [
                ("source, WFDB", "", f"{source * OPENECG_RECORDS / 1e9:.0f} GB"),
                *(
                    (
                        f"Parquet, {form}",
                        f"{OPENECG_RECORDS / readers[f'{title}, {CORES} processes'].median / 3600:.1f} h",
                        f"{sizes[form] * OPENECG_RECORDS / 1e9:.0f} GB",
                    )
                    for form, title in (("public", public), ("stored", stored))
                ),
            ],
        ),
    ]
    return paragraphs, contestants


def memory_table(records: Path, folder: Path) -> list[str]:
    """Memory of ingest and of training reads, by the size of the corpus."""
    rows, grown = [], {}
    for kind in MEASURED:
        found = []
        for copies in COPIES:
            root = copy_records(records, folder / f"{kind.replace(' ', '-')}-{copies}", copies)
            if kind == "training reads":
                root = write_cleaned(root, folder / f"cleaned-{copies}", folder / f"cache-{copies}")
            found.append(memory_of(kind, root))
        rows.append((kind, *(f"{value / 2**20:.0f} MB" for value in found)))
        grown[kind] = found[-1] / found[0]
    return [
        "## Memory",
        "Most memory beyond what the process holds before, one process, by copies of the records (training reads in"
        f" pools of {POOL} rows, which all of them fill):",
        markdown_table(("", *(f"{copies}x" for copies in COPIES)), rows),
        "\n".join(verdict(f"{kind}, 16x against 1x", ratio, FLAT_RATIO, "x") for kind, ratio in grown.items()),
    ]


def main() -> None:
    parser = benchmark_parser(__doc__, __file__)
    parser.add_argument("--records", type=Path, help="folder (default: ptb-xl/records500 of $ANYECG_TEST_RECORDS)")
    parser.add_argument(
        "--measure", nargs=2, metavar=("KIND", "FOLDER"), help="for the script itself: memory of one way"
    )
    options = parser.parse_args()
    datasets.disable_progress_bars()
    if options.measure:
        measure(options.measure[0], Path(options.measure[1]))
        return
    records = options.records or Path(os.environ["ANYECG_TEST_RECORDS"], "ptb-xl", "records500")
    with Conditions(LIBRARIES) as conditions, tempfile.TemporaryDirectory(prefix="anyecg-data-") as folder:
        paragraphs, _ = speed_tables(records, Path(folder))
        paragraphs += memory_table(records, Path(folder))
    write_report(options.output, __file__, "Corpora: speed, memory and disk", paragraphs, conditions)


if __name__ == "__main__":
    main()
