# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`anyecg embed`: one vector a record."""

import argparse
from pathlib import Path

import numpy as np

from anyecg_hf.cli.options import add_model_options, add_reading_options, for_each_record, report_failures
from anyecg_hf.cli.tables import check_output, write_parquet
from anyecg_hf.pipelines import RecordAnalyzer
from anyecg_hf.records import find_records

DESCRIPTION = """Embeds recordings: the mean of the backbone's tokens, one vector a record.

  anyecg embed records500/ -o embeddings.parquet      columns: record, embedding
  anyecg embed 'holter/*.csv' -o embeddings.npy       rows as listed in embeddings.records.txt

Records that cannot be read are listed at the end; the others are written all the same."""


def add_parser(commands) -> None:
    """Adds the sub-command."""
    parser = commands.add_parser(
        "embed",
        help="one vector a record",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("records", nargs="+", metavar="RECORD", help="records, folders or globs")
    parser.add_argument("-o", "--output", type=Path, required=True, help=".parquet or .npy file to write")
    add_model_options(parser)
    add_reading_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Embeds every record and writes the table."""
    check_output(options.output, (".parquet", ".npy"))
    analyzer = RecordAnalyzer(options.model, device=options.device, window_s=options.window)
    analyzer.load("tokenizer", "backbone")
    paths = find_records(options.records)
    outcome = for_each_record(
        paths, options, lambda path, record: (str(path), analyzer.embed(analyzer.clean(record))), "embed"
    )
    if outcome.results:
        names, embeddings = zip(*outcome.results, strict=True)
        if options.output.suffix == ".npy":
            np.save(options.output, np.stack(embeddings))
            options.output.with_suffix(".records.txt").write_text("".join(f"{name}\n" for name in names))
        else:
            write_parquet(
                options.output, {"record": names, "embedding": [row.tolist() for row in embeddings]}, "float32"
            )
        print(f"{len(names)} embeddings of length {len(embeddings[0])} written to {options.output}")
    return report_failures(outcome)
