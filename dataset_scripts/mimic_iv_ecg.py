# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
MIMIC-IV-ECG: 800,000 12-lead ECGs of one hospital with the statements of the machine. Try `--engine ray` on a cluster.
Notes, age and sex are for credentialed users; with `--patients-csv` a dataset can only be published as private.

Licence: ODbL-1.0, to our knowledge; not confirmed, so check it before you share anything.

    python dataset_scripts/mimic_iv_ecg.py --data-dir mimic-iv-ecg --output mimic-iv-ecg-parquet
"""

import sys

from anyecg_hf.cli.corpus_script import main

if __name__ == "__main__":
    sys.exit(main("mimic-iv-ecg"))
