# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`anyecg export`: a checkpoint as ONNX or `torch.export` graphs."""

import argparse
import dataclasses
import json
from pathlib import Path

from anyecg_hf import TINY

DESCRIPTION = """Writes a checkpoint's model and quantizer as graphs that run without Python, for any number of records,
leads and patches, and export.json, which says what goes in and what comes out.

  anyecg export --onnx -o exported/
  anyecg export --model runs/mine/final --onnx --int8 -o exported/

ONNX files are compared with PyTorch; one that differs by more than 1e-4 is not written. What has to be done to a signal
before it goes in: docs/deployment.md."""


def add_parser(commands) -> None:
    """Adds the sub-command."""
    parser = commands.add_parser(
        "export",
        help="a checkpoint as ONNX or torch.export graphs",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument("--onnx", dest="form", action="store_const", const="onnx", help="ONNX files")
    form.add_argument("--torch-export", dest="form", action="store_const", const="torch", help="torch.export files")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="where to write")
    parser.add_argument(
        "--model", default=TINY, metavar="PATH_OR_NAME", help="checkpoint (default: the embedded anyecg-tiny)"
    )
    parser.add_argument(
        "--part", metavar="CLASS", help="class of the model (default: what the checkpoint was saved as)"
    )
    parser.add_argument("--int8", action="store_true", help="a second ONNX file with weights of 8 bits")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Exports, and prints the files with how near they are to PyTorch."""
    from anyecg_hf.deployment.exported_checkpoint import export_checkpoint

    exported = export_checkpoint(options.model, options.output, options.form, options.part, options.int8)
    if options.json:
        print(json.dumps({**dataclasses.asdict(exported), "folder": str(exported.folder)}))
        return 0
    for name, size in exported.files.items():
        found = exported.largest_differences.get(name, {})
        differences = "".join(f", {output} within {value:.1g} of PyTorch's" for output, value in found.items())
        print(f"{exported.folder / name}: {size / 1e6:.2f} MB{differences}")
    return 0
