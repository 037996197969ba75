# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
St Petersburg INCART 12-lead Arrhythmia Database: half-hour records with annotated beats.

Licence: ODC-By-1.0, to our knowledge; not confirmed, so check it before you share anything.

    python dataset_scripts/incart.py --data-dir incart --output incart-parquet
"""

import sys

from anyecg_hf.cli.corpus_script import main

if __name__ == "__main__":
    sys.exit(main("incart"))
