# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Times what `import anyecg_hf` adds to importing the parts of torch and transformers that it is made of.

python benchmarks/import_time.py
"""

import json
import statistics
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass

from reporting import Conditions, benchmark_parser, markdown_table, verdict, write_report

LIBRARIES = ("anyecg-hf", "torch", "transformers", "numpy", "scipy", "PyWavelets")
TARGET_S = 0.3

GIVEN = "import torch; from transformers import PreTrainedModel, AutoModel, SequenceFeatureExtractor"
OURS = "import anyecg_hf"

# What each fresh interpreter runs before its clock starts, and while it runs.
CASES = {
    "torch and transformers": ("pass", GIVEN),
    "`import anyecg_hf`": ("pass", OURS),
    "`import anyecg_hf` after torch and transformers": (GIVEN, OURS),
}
ALONE, WHOLE, ADDED = CASES

CLOCK = """
import json, time
{before}
wall_s, cpu_s = time.perf_counter(), time.process_time()
{timed}
print(json.dumps([time.perf_counter() - wall_s, time.process_time() - cpu_s]))
"""
MARK = "from here on it is ours"


@dataclass(frozen=True)
class ImportTime:
    """Seconds that one import took, by the wall clock and of CPU time."""

    wall_s: float
    cpu_s: float


def time_import(case: str) -> ImportTime:
    """Runs one case in a fresh interpreter."""
    before, timed = CASES[case]
    code = CLOCK.format(before=before, timed=timed)
    finished = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return ImportTime(*json.loads(finished.stdout))


def own_seconds_by_package() -> dict[str, float]:
    """Seconds that the modules of each package took by themselves, of what we add to torch and transformers."""
    code = f"{GIVEN}; import sys; print({MARK!r}, file=sys.stderr); {OURS}"
    command = [sys.executable, "-X", "importtime", "-c", code]
    log = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    seconds: dict[str, float] = defaultdict(float)
    for line in log.split(MARK, 1)[1].splitlines():
        if line.startswith("import time:"):
            own_us, _, module = line.removeprefix("import time:").split("|")
            seconds[module.strip().split(".")[0]] += int(own_us) / 1e6
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))


def main() -> None:
    parser = benchmark_parser(__doc__, __file__)
    parser.add_argument("--rounds", type=int, default=9, help="interpreters for each case (default: %(default)s)")
    arguments = parser.parse_args()
    with Conditions(LIBRARIES) as conditions:
        for case in CASES:  # once unmeasured, so that files are cached and compiled
            time_import(case)
        rounds = [{case: time_import(case) for case in CASES} for _ in range(arguments.rounds)]
        packages = own_seconds_by_package()

    wall_s = {case: statistics.median(one[case].wall_s for one in rounds) for case in CASES}
    cpu_s = {case: statistics.median(one[case].cpu_s for one in rounds) for case in CASES}
    rows = [
        (
            case,
            f"{wall_s[case]:.3f}",
            f"{min(one[case].wall_s for one in rounds):.3f} to {max(one[case].wall_s for one in rounds):.3f}",
            f"{cpu_s[case]:.3f}",
            f"{wall_s[case] / wall_s[ALONE]:.2f}",
        )
        for case in CASES
    ]
    paragraphs = [
        f"Torch and transformers: `{GIVEN}`. Each import runs in a fresh interpreter, the three cases in rotation,"
        f" {arguments.rounds} times.",
        markdown_table(("seconds", "median", "all", "median CPU time", "ratio"), rows),
        verdict("difference of the first two medians", wall_s[WHOLE] - wall_s[ALONE], TARGET_S, " s")
        + "\n"
        + verdict("median of the last row, the same measured directly", wall_s[ADDED], TARGET_S, " s"),
        "## What the last row consists of",
        markdown_table(
            ("package", "own seconds (`-X importtime`, one run)"),
            [(name, f"{seconds:.3f}") for name, seconds in list(packages.items())[:6]],
        ),
    ]
    write_report(arguments.output, __file__, "Time to import", paragraphs, conditions)


if __name__ == "__main__":
    main()
