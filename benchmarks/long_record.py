# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Measures what a day of ECG costs: time and memory of `anyecg embed` on 24 h, and what its place does to a window.

    python benchmarks/long_record.py
    python benchmarks/long_record.py --hours 1     # a shorter record

Needs Linux, neurokit2 to simulate beats, and 130 MB in the temporary folder for 24 hours.
"""

import argparse
import contextlib
import io
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import neurokit2
import numpy as np
import torch
from reporting import Conditions, Memory, benchmark_parser, markdown_table, verdict, write_report

from anyecg_hf import TINY, AnyECGModel, AnyECGTokenizer
from anyecg_hf.cli.main import main as anyecg

LIBRARIES = ("anyecg-hf", "torch", "transformers", "numpy", "scipy", "PyWavelets", "wfdb", "neurokit2")
SAMPLING_RATE_HZ, LEADS, GAIN_PER_MV = 250, ("I", "II", "V1"), 1000
SEGMENT_S, SEGMENTS = 300, 6
TARGET_BYTES = 1.5e9
COMMANDS = {
    "one vector": (),
    "windows of the training, end to end": ("--stride", "10"),
    "windows of 60 s every 30 s": ("--window", "60", "--stride", "30"),
    "windows of 60 s every 30 s, in one pass": ("--window", "60", "--stride", "30", "--one-pass"),
}
EXCERPT_S, LONG_WINDOW_S, PLACES = 10, 300, 8


@dataclass(frozen=True)
class Run:
    """One run of the command: bytes resident when all was imported, the most during the run, and seconds."""

    before: int
    peak: int
    seconds: float


def simulate_segments() -> np.ndarray:
    """Five minutes each at other heart rates, `(segments, leads, samples)` in mV."""
    projections_mv = np.array([[0.7], [1.0], [-0.5]])
    return np.stack(
        [
            projections_mv
            * neurokit2.ecg_simulate(
                duration=SEGMENT_S,
                sampling_rate=SAMPLING_RATE_HZ,
                heart_rate=55 + 10 * number,
                noise=0,
                random_state=number,
            )
            for number in range(SEGMENTS)
        ]
    )


def write_day(folder: Path, hours: float) -> Path:
    """Writes beats with noise and a wandering baseline as a WFDB record, segment by segment."""
    segments = simulate_segments()
    random = np.random.default_rng(0)
    wander_s = np.arange(segments.shape[2]) / SAMPLING_RATE_HZ
    count = max(1, round(hours * 3600 / SEGMENT_S))
    with open(folder / "day.dat", "wb") as file:
        for number in range(count):
            clock_s = number * SEGMENT_S + wander_s
            baseline_mv = 0.3 * np.sin(2 * np.pi * clock_s / 7.3) + 0.2 * np.sin(2 * np.pi * clock_s / 41)
            noise_mv = 0.02 * random.standard_normal(segments.shape[1:])
            signal_mv = segments[random.integers(len(segments))] + baseline_mv + noise_mv
            file.write(np.round(signal_mv.T * GAIN_PER_MV).astype("<i2").tobytes())
    lines = [f"day {len(LEADS)} {SAMPLING_RATE_HZ} {count * segments.shape[2]}"]
    lines += [f"day.dat 16 {GAIN_PER_MV}/mV 16 0 0 0 0 {lead}" for lead in LEADS]
    (folder / "day.hea").write_text("\n".join(lines) + "\n", encoding="ascii")
    return folder / "day"


def run_command(arguments: list[str]) -> Run:
    """Runs `anyecg` in this process."""
    before, start = Memory.read().now, time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        status = anyecg(arguments)
    if status:
        raise RuntimeError(f"anyecg {' '.join(arguments)} ended with status {status}.")
    return Run(before=before, peak=Memory.read().peak, seconds=time.perf_counter() - start)


def in_fresh_process(arguments: list[str]) -> Run:
    finished = subprocess.run(
        [sys.executable, __file__, "--run", json.dumps(arguments)], check=True, stdout=subprocess.PIPE, text=True
    )
    return Run(**json.loads(finished.stdout))


@torch.no_grad()
def place_table() -> tuple[str, dict[str, float]]:
    """The same ten seconds at different places of a long window: alone in it, and among other beats."""
    tokenizer = AnyECGTokenizer.from_pretrained(TINY)
    model = AnyECGModel.from_pretrained(TINY).eval()
    signal_mv = simulate_segments()[1]
    batch = tokenizer(signal_mv, sampling_rate=SAMPLING_RATE_HZ, lead_names=list(LEADS), return_tensors="pt")
    length, total = (round(seconds / tokenizer.patch_seconds) for seconds in (EXCERPT_S, LONG_WINDOW_S))
    excerpt, others = batch["input_values"][:, :, :length], batch["input_values"][:, :, length:]
    alone = model(excerpt, lead_ids=batch["lead_ids"]).pooler_output[0]
    found = {"alone in the window": [], "among other beats": []}
    for place in np.linspace(0, total - length, PLACES).round().astype(int):
        values = torch.cat((others[:, :, :place], excerpt, others[:, :, place:]), dim=2)
        mask = torch.zeros(values.shape[:3], dtype=torch.long)
        mask[:, :, place : place + length] = 1
        found["alone in the window"].append(_embed(model, values * mask[..., None], mask, batch, place, length))
        found["among other beats"].append(_embed(model, values, torch.ones_like(mask), batch, place, length))
    rows, worst = [], {}
    for name, embeddings in found.items():
        stacked = torch.stack(embeddings)
        differences = torch.cdist(stacked, stacked) / stacked.norm(dim=1).mean()
        cosines = torch.nn.functional.cosine_similarity(stacked[:, None], stacked[None], dim=2)
        apart = (stacked - alone).norm(dim=1) / alone.norm()
        worst[name] = float(differences.max())
        rows.append((name, f"{worst[name]:.2g}", f"{float(cosines.min()):.6f}", f"{float(apart.max()):.2g}"))
    header = ("", "largest difference between places", "smallest cosine", "largest difference from a window of 10 s")
    return markdown_table(header, rows), worst


def _embed(model, values, mask, batch, place: int, length: int) -> torch.Tensor:
    """Mean over the tokens of the excerpt."""
    hidden = model(values, mask, batch["lead_ids"]).last_hidden_state
    return hidden.view(*mask.shape, -1)[0, :, place : place + length].flatten(0, 1).mean(dim=0)


def measure(arguments: argparse.Namespace) -> None:
    with Conditions(LIBRARIES) as conditions, tempfile.TemporaryDirectory(prefix="anyecg-day-") as name:
        record = write_day(Path(name), arguments.hours)
        runs = {
            what: in_fresh_process(["embed", str(record), "-o", str(Path(name, "out.npy")), *options])
            for what, options in COMMANDS.items()
        }
        places, worst = place_table()
    rows = [
        (
            what,
            f"`anyecg embed {' '.join(('day -o out.npy', *COMMANDS[what]))}`",
            f"{run.peak / 1e6:.0f}",
            f"{run.before / 1e6:.0f}",
            f"{run.seconds:.0f}",
            f"{run.seconds / arguments.hours:.2f}",
        )
        for what, run in runs.items()
    ]
    header = ("", "command", "peak, MB", "of which libraries, MB", "seconds", "seconds a recorded hour")
    paragraphs = [
        f"A simulated recording of {arguments.hours:g} h, {len(LEADS)} leads, {SAMPLING_RATE_HZ} Hz, written as WFDB,"
        f" through the embedded checkpoint on {torch.get_num_threads()} threads; each command in a fresh process. Not"
        " measured on GPU.",
        markdown_table(header, rows),
        verdict("largest peak memory", max(run.peak for run in runs.values()) / 1e9, TARGET_BYTES / 1e9, " GB"),
        "## The same ten seconds in different places",
        f"{EXCERPT_S} s of three leads at {PLACES} places of a window of {LONG_WINDOW_S} s, embedded as the mean over"
        " their tokens. Differences are Euclidean, over the length of an embedding. `alone`: all else is masked, so"
        " that only the place differs. `among other beats`: the neighbours differ too, and the window is longer than"
        " the checkpoint was trained on.",
        places,
        f"- Among these places, the place itself changes an embedding by at most **{worst['alone in the window']:.2g}**"
        f" of its length; place and neighbours together by at most **{worst['among other beats']:.2g}**.",
    ]
    write_report(arguments.output, __file__, "A day of ECG", paragraphs, conditions)


def main() -> None:
    parser = benchmark_parser(__doc__, __file__)
    parser.add_argument("--hours", type=float, default=24.0, help="length of the record (default: %(default)g)")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run is None:
        measure(arguments)
    else:
        print(json.dumps(asdict(run_command(json.loads(arguments.run)))))


if __name__ == "__main__":
    main()
