# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
Records of your own in a folder, with an optional table of labels. Without `--licence` they can only be published as
private.

Licence: unknown, unless you state it.

    python dataset_scripts/folder.py --data-dir my-records --output my-records-parquet --licence CC0-1.0
"""

import sys

from anyecg_hf.cli.corpus_script import main

if __name__ == "__main__":
    sys.exit(main("folder"))
