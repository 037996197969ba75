# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
PTB-XL: 10 s of 12 leads at 500 or 100 Hz, with SCP-ECG statements, reports and official folds.

Licence: CC-BY-4.0, as stated with the corpus.

    python dataset_scripts/ptb_xl.py --data-dir ptb-xl --output ptb-xl-parquet --sampling-rate 100
"""

import sys

from anyecg_hf.cli.corpus_script import main

if __name__ == "__main__":
    sys.exit(main("ptb-xl"))
