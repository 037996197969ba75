# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
LUDB, Lobachevsky University Database: 10 s of 12 leads with the bounds of P waves, QRS complexes and T waves.

Licence: ODC-By-1.0, as stated with the corpus.

    python dataset_scripts/ludb.py --data-dir ludb --output ludb-parquet
"""

import sys

from anyecg_hf.cli.corpus_script import main

if __name__ == "__main__":
    sys.exit(main("ludb"))
