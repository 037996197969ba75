# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""
The page of `anyecg demo --web` as a Space of the Hugging Face Hub; `README.md` beside it tells how to make one.

    python examples/space/app.py
"""

import os

import anyecg_hf
from anyecg_hf.web import Workbench, serve

if __name__ == "__main__":
    # A Space says which address to listen on; without one the page is for this computer only.
    serve(
        Workbench(os.environ.get("ANYECG_CHECKPOINT", anyecg_hf.TINY)),
        host=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"),
        started=lambda address: print(f"Serving {address}", flush=True),
    )
