# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
Ningbo First Hospital: 10 s of 12 leads, from the PhysioNet Challenge 2021 or its own release.

Licence: CC-BY-4.0, to our knowledge; not confirmed, so check it before you share anything.

    python dataset_scripts/ningbo.py --data-dir ningbo --output ningbo-parquet
"""

import sys

from anyecg_hf.cli.corpus_script import main

if __name__ == "__main__":
    sys.exit(main("ningbo"))
