# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Writes a checkpoint as ONNX files: the script form of `anyecg export --onnx`.

python conversion/convert_hf_to_onnx.py --model runs/mine/final -o exported/
"""

import sys

from anyecg_hf.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["export", "--onnx", *sys.argv[1:]]))
