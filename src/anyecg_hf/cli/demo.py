# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`anyecg demo`: a page in the browser to try the checkpoint on."""

import argparse
import logging
from pathlib import Path

from anyecg_hf.cli.options import add_model_options

DESCRIPTION = """Serves a page to look at, on this computer only: simulated records, or your own in any readable format,
on ECG paper with their rhythm codes, class probabilities and restored leads.

  anyecg demo --web
  anyecg demo --web --port 8000 --model path/to/checkpoint

It needs no network. `make demo` and `anyecg run` do the same for one record on the command line.

Research software, not a medical device."""


def add_parser(commands) -> None:
    """Adds the sub-command."""
    parser = commands.add_parser(
        "demo",
        help="a page in the browser to try it on",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--web", action="store_true", help="serve the page, until Ctrl+C")
    parser.add_argument("--port", type=int, metavar="N", help="port (default: the first free one from 7860 on)")
    parser.add_argument(
        "--gallery",
        type=Path,
        metavar="FILE",
        help="what codes stand for, from `anyecg codebook -o FILE.safetensors` (default: the checkpoint's own)",
    )
    add_model_options(parser)
    parser.set_defaults(run=run, usage_error=parser.error)


def run(options: argparse.Namespace) -> int:
    """Serves the page."""
    if not options.web:
        options.usage_error("say --web for the page; on the command line there is `anyecg run`.")
    # Late: without Gradio the other commands still run.
    from anyecg_hf.web import Workbench, serve
    from anyecg_hf.web.app import check_gradio

    check_gradio()
    # One line a request would bury the address.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    workbench = Workbench(options.model, options.device, options.window, options.gallery)
    serve(workbench, port=options.port, started=_say_where)
    return 0


def _say_where(address: str) -> None:
    print(f"Open {address} in a browser; Ctrl+C ends it. Research software, not a medical device.", flush=True)
