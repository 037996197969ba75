# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`anyecg pull`: a checkpoint or an adapter from the Hub."""

import argparse
import dataclasses
import json
from pathlib import Path

DESCRIPTION = """Fetches a checkpoint or an adapter from the Hub, whole and of one commit, into the cache or a folder.

  anyecg pull org/anyecg-mine
  anyecg pull org/anyecg-mine --revision 3f2a... -o mine/

Refused: pickles, names of files that lead elsewhere, and content that is not what was pushed. No code runs."""


def add_parser(commands) -> None:
    """Adds the sub-command."""
    parser = commands.add_parser(
        "pull",
        help="a checkpoint or an adapter from the Hub",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("repo_id", metavar="REPO", help="for example org/anyecg-mine")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="where to copy it (default: the cache)")
    parser.add_argument("--revision", metavar="NAME", help="branch, tag or commit (default: main)")
    parser.add_argument("--json", action="store_true", help="print what was pulled as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Pulls, and prints where the files lie."""
    from anyecg_hf.hub.pulling import pull_from_hub

    pulled = pull_from_hub(options.repo_id, options.output, revision=options.revision)
    if options.json:
        print(json.dumps({**dataclasses.asdict(pulled), "folder": str(pulled.folder)}))
        return 0
    print(f"{pulled.folder}: {len(pulled.files)} files of {pulled.repo_id}, commit {pulled.commit}")
    return 0
