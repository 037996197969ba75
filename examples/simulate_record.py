# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
Writes a simulated 12-lead record as WFDB, so that `anyecg run` can be tried without a recording at hand.

    python examples/simulate_record.py demo-output/simulated
"""

import argparse
from pathlib import Path

import neurokit2
import wfdb

GAIN_PER_MV = 1000  # one microvolt a step


def simulate_record(path: Path, duration_s: int, sampling_rate: int, heart_rate: int, seed: int) -> None:
    """
    Simulates twelve leads with NeuroKit2 and writes `path`.hea and `path`.dat.

    The simulator brings every lead to the same range by itself, so Einthoven's law (I + III = II) does not hold.

    Args:
        path (`Path`): Record to write, without extension; its folder is made.
        duration_s (`int`): Length in seconds.
        sampling_rate (`int`): Samples a second, in Hz.
        heart_rate (`int`): Beats a minute.
        seed (`int`): The same seed gives the same record.
    """
    leads_mv = neurokit2.ecg_simulate(
        method="multileads",
        duration=duration_s,
        sampling_rate=sampling_rate,
        heart_rate=heart_rate,
        random_state=seed,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    n_leads = leads_mv.shape[1]
    wfdb.wrsamp(
        path.name,
        write_dir=str(path.parent),
        fs=sampling_rate,
        sig_name=list(leads_mv.columns),
        units=["mV"] * n_leads,
        p_signal=leads_mv.to_numpy(),
        fmt=["16"] * n_leads,
        adc_gain=[GAIN_PER_MV] * n_leads,
        baseline=[0] * n_leads,
        comments=["Simulated by NeuroKit2: no person's heart."],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a simulated 12-lead ECG as a WFDB record.")
    parser.add_argument("path", type=Path, help="record to write, without extension")
    parser.add_argument("--duration-s", type=int, default=10, help="length in seconds (default: %(default)s)")
    parser.add_argument("--sampling-rate", type=int, default=500, help="in Hz (default: %(default)s)")
    parser.add_argument("--heart-rate", type=int, default=70, help="beats a minute (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same record (default: %(default)s)")
    arguments = parser.parse_args()
    simulate_record(**vars(arguments))
    print(f"Wrote {arguments.path}.hea and .dat: a SIMULATED record (NeuroKit2), not a recording of a person.")


if __name__ == "__main__":
    main()
