# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs the command in this process, in a folder of its own, and records to run it on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tests.training.written_records import ecg_counts, write_wfdb

from anyecg_hf.cli.main import main

LEADS = ("I", "II", "V1")


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit status, stdout, stderr."""

    status: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """Lines of stderr that are no warnings."""
        return [line for line in self.err.splitlines() if not line.startswith("Warning: ")]

    @property
    def warnings(self) -> list[str]:
        """Warnings on stderr."""
        return [line for line in self.err.splitlines() if line.startswith("Warning: ")]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def anyecg(capsys: pytest.CaptureFixture, loud_libraries_afterwards: None) -> Callable[..., Outcome]:
    """Runs `anyecg` with arguments; usage errors of argparse give their status too."""

    def run(*arguments) -> Outcome:
        capsys.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as stopped:
            status = stopped.code
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run


@pytest.fixture
def counts() -> np.ndarray:
    """10 s of three leads at 500 Hz in steps of 1 uV."""
    return ecg_counts(0, leads=3, seconds=10)


@pytest.fixture
def record(own_folder: Path, counts: np.ndarray) -> Path:
    """A WFDB record."""
    return write_wfdb(own_folder / "rec", counts, leads=LEADS)


@pytest.fixture
def half_flat(own_folder: Path, counts: np.ndarray) -> Path:
    """A WFDB record with a flat lead V1."""
    counts = counts.copy()
    counts[2] = 3
    return write_wfdb(own_folder / "half_flat", counts, leads=LEADS)


@pytest.fixture
def truncated(own_folder: Path, counts: np.ndarray) -> Path:
    """A WFDB record whose signal file was cut in half."""
    path = write_wfdb(own_folder / "truncated", counts, leads=LEADS)
    data = path.with_name("truncated.dat")
    data.write_bytes(data.read_bytes()[:15000])
    return path


def write_csv(path: Path, counts: np.ndarray, header: str = "I,II,V1", per_unit: float = 1000.0) -> Path:
    """Writes counts of uV as a table in another unit."""
    np.savetxt(path, counts.T / per_unit, "%.3f", ",", header=header, comments="")
    return path
