# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
Scripts in a Python process of their own.

What is imported, and what would be without a library, is tried here: a module that is taken out of `sys.modules` and
imported anew in the process of the tests stays the attribute of its package, and later tests patch the wrong one.
"""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"


def in_fresh_process(script: str, *options: str, **environment: str) -> str:
    """What a script prints, with this checkout as the only place of the package."""
    command = [sys.executable, *options, "-c", textwrap.dedent(script)]
    path = os.pathsep.join([*filter(None, [environment.pop("PYTHONPATH", "")]), str(SOURCE)])
    environment = {**os.environ, **environment, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout
