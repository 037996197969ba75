# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
CPSC2018, the training set of the China Physiological Signal Challenge 2018: 12 leads, 6 to 60 s, nine classes.

Licence: CC-BY-4.0, to our knowledge; not confirmed, so check it before you share anything.

    python dataset_scripts/cpsc2018.py --data-dir cpsc2018 --output cpsc2018-parquet
"""

import sys

from anyecg_hf.cli.corpus_script import main

if __name__ == "__main__":
    sys.exit(main("cpsc2018"))
