# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`anyecg push`: a checkpoint, an adapter or a corpus to the Hub."""

import argparse
import dataclasses
import json
from pathlib import Path

DESCRIPTION = """Puts the folder of a checkpoint, an adapter or a prepared corpus on the Hub, checked, in one commit.

  anyecg push runs/mine/final org/anyecg-mine --dry-run
  anyecg push runs/mine/final org/anyecg-mine --licence cc-by-4.0 --training-data recorded
  anyecg push runs/mine/final org/anyecg-mine --card facts.yaml --results evaluations/mine/results.json
  anyecg push runs/lora/final org/anyecg-lora --base-model org/anyecg-mine --card CARD.md --private

Only safetensors go, with a card that names the licence and the training data. The account is that of `hf auth login`,
or of the token in HF_TOKEN."""


def add_parser(commands) -> None:
    """Adds the sub-command."""
    parser = commands.add_parser(
        "push",
        help="a checkpoint, an adapter or a corpus to the Hub",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a saved model, adapter, tokenizer or corpus")
    parser.add_argument("repo_id", metavar="REPO", help="for example org/anyecg-mine; made if it is not there")
    parser.add_argument("--tokenizer", metavar="PATH_OR_NAME", help="tokenizer that goes along (default: the folder's)")
    parser.add_argument(
        "--card",
        type=Path,
        metavar="FILE",
        help="the card, or its facts in YAML (default: README.md of the folder)",
    )
    parser.add_argument("--licence", metavar="NAME", help="where there is no card: as the Hub names it, e.g. cc-by-4.0")
    parser.add_argument(
        "--training-data",
        metavar="TEXT",
        help="where there is no card: what the weights have seen; 'recorded' for what their run recorded",
    )
    parser.add_argument(
        "--results",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="results.json of `anyecg evaluate`, for a card that is written; may be repeated",
    )
    parser.add_argument("--base-model", metavar="REPO", help="for an adapter: its checkpoint on the Hub")
    parser.add_argument("--no-code", action="store_true", help="leave out the code by which others load it")
    parser.add_argument("--private", action="store_true", help="only into a repository that is private")
    parser.add_argument("--revision", metavar="BRANCH", help="made if it is not there (default: main)")
    parser.add_argument("--message", metavar="TEXT", help="title of the commit")
    parser.add_argument("--dry-run", action="store_true", help="check, list files and sizes, and ask nobody")
    parser.add_argument("--json", action="store_true", help="print what was pushed as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Pushes, and prints the files and the commit."""
    from anyecg_hf import AnyECGTokenizer
    from anyecg_hf.hub.pushing import push_to_hub

    pushed = push_to_hub(
        options.folder,
        options.repo_id,
        options.tokenizer and AnyECGTokenizer.from_pretrained(options.tokenizer),
        options.card,
        licence=options.licence,
        training_data=options.training_data,
        results=options.results,
        base_model=options.base_model,
        remote_code=not options.no_code,
        private=options.private or None,
        revision=options.revision,
        dry_run=options.dry_run,
        commit_message=options.message,
    )
    if options.json:
        print(json.dumps(dataclasses.asdict(pushed)))
        return 0
    for file in pushed.files:
        print(f"{file.n_bytes:>14,}  {file.path}")
    done = pushed.commit_url or f"nothing was uploaded to {pushed.repo_id}"
    print(f"{pushed.n_bytes:>14,}  in all; {done}")
    return 0
