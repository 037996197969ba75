# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Times the tokenizer's cleaning of a record on one core, beside `neurokit2.ecg_clean`.

python benchmarks/preprocessing.py [--record path/to/record]
"""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import neurokit2
import torch
from reporting import Conditions, benchmark_parser, markdown_table, verdict, write_report
from threadpoolctl import threadpool_limits

from anyecg_hf import AnyECGTokenizer
from anyecg_hf.models.anyecg import cleaning_anyecg
from anyecg_hf.records import ECGRecord, read_record

LIBRARIES = ("anyecg-hf", "numpy", "scipy", "PyWavelets", "torch", "transformers", "neurokit2")
BATCH = 32
TARGET_RECORDS_PER_S = 150

TOKENIZER = "`AnyECGTokenizer()`, record by record"
TOKENIZER_BATCH = f"`AnyECGTokenizer()`, batches of {BATCH}"
NEUROKIT = "`neurokit2.ecg_clean`, lead by lead"

STEPS = {
    "assess_leads": "quality of the leads",
    "fill_gaps": "gaps",
    "remove_line": "slow trend",
    "resample": "resampling",
    "filter_zero_phase": "band-pass and notch",
    "wavelet_coefficients": "wavelet transform",
    "noise_levels": "noise levels",
    "soft_threshold_denoise": "threshold and inverse transform",
    "cut_patches": "patches",
}


def simulated_record() -> ECGRecord:
    """12 leads, 10 s, 500 Hz."""
    leads_mv = neurokit2.ecg_simulate(method="multileads", duration=10, sampling_rate=500, random_state=1)
    return ECGRecord(leads_mv.to_numpy().T, sampling_rate=500, lead_names=tuple(leads_mv.columns))


class Contestant:
    """
    One way of cleaning, timed in turns with the others.

    Args:
        work (`Callable`): Cleans `records` records.
        records (`int`): How many that are.
    """

    def __init__(self, work: Callable[[], object], records: int):
        self.work = work
        self.records = records
        self.wall_s: list[float] = []
        self.cpu_s: list[float] = []

    def take_turn(self, seconds: float) -> None:
        """Works for about so many seconds and notes the mean wall and CPU time of a record."""
        turns, wall, cpu = 0, time.perf_counter(), time.process_time()
        while turns == 0 or time.perf_counter() - wall < seconds:
            self.work()
            turns += 1
        records = turns * self.records
        self.wall_s.append((time.perf_counter() - wall) / records)
        self.cpu_s.append((time.process_time() - cpu) / records)

    @property
    def records_per_s(self) -> float:
        """Median over turns, by the wall clock."""
        return 1 / statistics.median(self.wall_s)

    @property
    def records_per_cpu_s(self) -> float:
        """Median over turns, by the time that the process had a core."""
        return 1 / statistics.median(self.cpu_s)


def compete(record: ECGRecord, rounds: int, seconds: float) -> dict[str, Contestant]:
    """All contestants in turns, `rounds` times, after one turn to warm up."""
    tokenizer = AnyECGTokenizer()
    batch = [ECGRecord(record.signal_mv.copy(), record.sampling_rate, record.lead_names) for _ in range(BATCH)]

    def clean_with_neurokit() -> None:
        for lead_mv in record.signal_mv:
            neurokit2.ecg_clean(lead_mv, sampling_rate=record.sampling_rate)

    contestants = {
        TOKENIZER: Contestant(lambda: tokenizer(record), 1),
        TOKENIZER_BATCH: Contestant(lambda: tokenizer(batch), BATCH),
        NEUROKIT: Contestant(clean_with_neurokit, 1),
    }
    for contestant in contestants.values():
        contestant.work()
    for _ in range(rounds):
        for contestant in contestants.values():
            contestant.take_turn(seconds)
    return contestants


@contextmanager
def timed_steps() -> Iterator[dict[str, float]]:
    """Adds up the CPU seconds of every cleaning step while the context is open."""
    spent: dict[str, float] = defaultdict(float)
    originals = {name: getattr(cleaning_anyecg, name) for name in STEPS}

    def timed(name: str) -> Callable:
        def step(*args, **kwargs):
            start = time.process_time()
            result = originals[name](*args, **kwargs)
            spent[name] += time.process_time() - start
            return result

        return step

    for name in STEPS:
        setattr(cleaning_anyecg, name, timed(name))
    try:
        yield spent
    finally:
        for name, original in originals.items():
            setattr(cleaning_anyecg, name, original)


def profile_steps(record: ECGRecord, repeats: int) -> list[tuple[str, str, str]]:
    """Milliseconds and share of each step of one record, the largest first."""
    tokenizer = AnyECGTokenizer()
    tokenizer(record)
    with timed_steps() as spent:
        start = time.process_time()
        for _ in range(repeats):
            tokenizer(record)
        total = time.process_time() - start
    rows = {STEPS[name]: spent[name] for name in STEPS}
    rows["checks, scale, batch"] = total - sum(rows.values())
    return [
        (name, f"{1e3 * seconds / repeats:.2f}", f"{100 * seconds / total:.0f} %")
        for name, seconds in sorted(rows.items(), key=lambda row: -row[1])
    ]


def main() -> None:
    parser = benchmark_parser(__doc__, __file__)
    parser.add_argument("--record", type=Path, help="a real record (default: one simulated by NeuroKit2)")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each contestant (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a turn (default: %(default)s)")
    arguments = parser.parse_args()
    record = simulated_record() if arguments.record is None else read_record(arguments.record)
    torch.set_num_threads(1)
    with Conditions(LIBRARIES) as conditions, threadpool_limits(1):
        contestants = compete(record, arguments.rounds, arguments.seconds)
        steps = profile_steps(record, repeats=200)

    tokenizer, reference = contestants[TOKENIZER].records_per_s, contestants[NEUROKIT].records_per_s
    rows = [
        (
            name,
            f"{one.records_per_s:.0f}",
            f"{1 / max(one.wall_s):.0f} to {1 / min(one.wall_s):.0f}",
            f"{one.records_per_cpu_s:.0f}",
            f"{one.records_per_s / reference:.2f}",
        )
        for name, one in contestants.items()
    ]
    origin = "A record simulated by NeuroKit2" if arguments.record is None else "A real record"
    paragraphs = [
        f"{origin}: {record.n_leads} leads, {record.duration_s:g} s at {record.sampling_rate:g} Hz; one thread. The"
        " tokenizer does the paper's whole cleaning: quality of the leads, resampling to 300 Hz, band-pass, notch,"
        " wavelet denoising, scale, patches. `ecg_clean` with its defaults does a high-pass and a powerline filter and"
        " does not resample.",
        markdown_table(("records per second", "median", "all turns", "per second of CPU time", "ratio"), rows),
        f"Medians of {arguments.rounds} turns of {arguments.seconds:g} s, taken in rotation in one process; the ratio"
        " is that of the medians to `ecg_clean`.",
        verdict("records per second on one core", tokenizer, TARGET_RECORDS_PER_S, "", at_least=True)
        + "\n"
        + verdict("ratio to `ecg_clean` on the same leads", tokenizer / reference, 1, "", at_least=True),
        "## Where the time goes",
        markdown_table(("step", "ms a record (CPU time)", "share"), steps),
    ]
    write_report(arguments.output, __file__, "Cleaning a record", paragraphs, conditions)


if __name__ == "__main__":
    main()
