# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
PTB Diagnostic ECG Database: 15 leads (12 and Frank's) at 1000 Hz, with the reason for admission.

Licence: ODC-By-1.0, to our knowledge; not confirmed, so check it before you share anything.

    python dataset_scripts/ptb.py --data-dir ptb --output ptb-parquet
"""

import sys

from anyecg_hf.cli.corpus_script import main

if __name__ == "__main__":
    sys.exit(main("ptb"))
