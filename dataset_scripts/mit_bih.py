# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
MIT-BIH Arrhythmia Database: half-hour two-lead records in which every beat is annotated.

Licence: ODC-By-1.0, to our knowledge; not confirmed, so check it before you share anything.

    python dataset_scripts/mit_bih.py --data-dir mit-bih --output mit-bih-parquet
"""

import sys

from anyecg_hf.cli.corpus_script import main

if __name__ == "__main__":
    sys.exit(main("mit-bih"))
