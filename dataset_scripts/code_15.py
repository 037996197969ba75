# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
CODE-15%: 12-lead ECGs of the Telehealth Network of Minas Gerais with six abnormalities.

Licence: CC-BY-4.0, to our knowledge; not confirmed, so check it before you share anything.

    python dataset_scripts/code_15.py --data-dir code-15 --output code-15-parquet
"""

import sys

from anyecg_hf.cli.corpus_script import main

if __name__ == "__main__":
    sys.exit(main("code-15"))
