# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
SPH, 12-lead ECGs of Shandong Provincial Hospital with AHA statements.

Licence: CC-BY-4.0, to our knowledge; not confirmed, so check it before you share anything.

    python dataset_scripts/sph.py --data-dir sph --output sph-parquet
"""

import sys

from anyecg_hf.cli.corpus_script import main

if __name__ == "__main__":
    sys.exit(main("sph"))
