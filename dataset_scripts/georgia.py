# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
Georgia 12-Lead ECG Challenge Database, from the PhysioNet Challenge 2021.

Licence: CC-BY-4.0, to our knowledge; not confirmed, so check it before you share anything.

    python dataset_scripts/georgia.py --data-dir georgia --output georgia-parquet
"""

import sys

from anyecg_hf.cli.corpus_script import main

if __name__ == "__main__":
    sys.exit(main("georgia"))
