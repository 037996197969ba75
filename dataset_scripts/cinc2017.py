# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
PhysioNet Challenge 2017: single-lead records of 9 to 61 s, atrial fibrillation or not.

Licence: ODC-By-1.0, to our knowledge; not confirmed, so check it before you share anything.

    python dataset_scripts/cinc2017.py --data-dir cinc2017 --output cinc2017-parquet
"""

import sys

from anyecg_hf.cli.corpus_script import main

if __name__ == "__main__":
    sys.exit(main("cinc2017"))
