# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
PhysioNet Challenge 2011: 12-lead records of 10 s, of acceptable quality or not.

Licence: ODC-By-1.0, to our knowledge; not confirmed, so check it before you share anything.

    python dataset_scripts/cinc2011.py --data-dir cinc2011 --output cinc2011-parquet
"""

import sys

from anyecg_hf.cli.corpus_script import main

if __name__ == "__main__":
    sys.exit(main("cinc2011"))
