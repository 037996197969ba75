# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
CPSC-Extra, what the China Physiological Signal Challenge 2018 did not use: 12 leads, labels in SNOMED CT.

Licence: CC-BY-4.0, to our knowledge; not confirmed, so check it before you share anything.

    python dataset_scripts/cpsc_extra.py --data-dir cpsc-extra --output cpsc-extra-parquet
"""

import sys

from anyecg_hf.cli.corpus_script import main

if __name__ == "__main__":
    sys.exit(main("cpsc-extra"))
