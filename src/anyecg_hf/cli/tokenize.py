# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`anyecg tokenize`: rhythm codes of many records."""

import argparse
from pathlib import Path

from anyecg_hf.cli.options import (
    add_batch_options,
    add_model_options,
    add_reading_options,
    choose_output,
    for_each_record,
    report,
)
from anyecg_hf.cli.tables import write_parquet
from anyecg_hf.pipelines import RecordAnalyzer
from anyecg_hf.records import RecordSource

DESCRIPTION = """Writes the rhythm codes of recordings, one row a record.

  anyecg tokenize records500/ -o codes.parquet

Columns: record, lead_names, patch_s, scale_mv, codes (leads x patches, -1 where masked). Records that are missing or
cannot be read are listed at the end; the others are written all the same. Each record is held in memory whole."""


def add_parser(commands) -> None:
    """Adds the sub-command."""
    parser = commands.add_parser(
        "tokenize",
        help="rhythm codes of many records",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_batch_options(parser, ".parquet", default="codes.parquet")
    add_model_options(parser)
    add_reading_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Tokenizes every record and writes the table."""
    options.output = choose_output(options, (".parquet",))
    analyzer = RecordAnalyzer(options.model, device=options.device, window_s=options.window)
    analyzer.load("tokenizer", "quantizer")

    def tokenize(path: Path, source: RecordSource) -> dict:
        cleaned = analyzer.clean(source.to_record())
        return {
            "record": str(path),
            "lead_names": list(source.lead_names),
            "patch_s": analyzer.tokenizer.patch_seconds,
            "scale_mv": cleaned.scale,
            "codes": analyzer.encode(cleaned).tolist(),
        }

    outcome = for_each_record(options, tokenize, "tokenize")
    if outcome.results:
        columns = {name: [row[name] for row in outcome.results] for name in outcome.results[0]}
        write_parquet(options.output, columns, "int32")
    return report(outcome, options, f"{len(outcome.results)} records")
