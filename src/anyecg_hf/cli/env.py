# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`anyecg env`: versions and devices, for bug reports."""

import argparse
import json
import platform

import torch

from anyecg_hf.environment import installed_versions

LIBRARIES = (
    *("anyecg-hf", "torch", "transformers", "huggingface-hub", "safetensors", "numpy", "scipy", "PyWavelets"),
    *("accelerate", "peft", "datasets", "pyarrow", "ray", "matplotlib", "scikit-learn"),
    *("wfdb", "pyedflib", "pydicom", "h5py", "ecgdatakit"),
)


def add_parser(commands) -> None:
    """Adds the sub-command."""
    parser = commands.add_parser(
        "env", help="versions and devices, for bug reports", description="Prints versions and devices for bug reports."
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the environment."""
    facts = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu threads": torch.get_num_threads(),
    }
    facts["cuda"] = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    facts |= {**dict.fromkeys(LIBRARIES, "not installed"), **installed_versions(LIBRARIES)}
    if options.json:
        print(json.dumps(facts, indent=2))
    else:
        for name, value in facts.items():
            print(f"{name:<16} {value}")
    return 0
