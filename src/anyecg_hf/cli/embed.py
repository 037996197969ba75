# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`anyecg embed`: one vector a record."""

import argparse

import numpy as np

from anyecg_hf.cli.options import add_batch_options, add_model_options, add_reading_options, for_each_record, report
from anyecg_hf.cli.tables import check_output, write_parquet
from anyecg_hf.pipelines import RecordAnalyzer

DESCRIPTION = """Embeds recordings: the mean of the backbone's tokens, one vector a record.

  anyecg embed records500/ -o embeddings.parquet      columns: record, embedding
  anyecg embed 'holter/*.csv' -o embeddings.npy       rows as listed in embeddings.records.txt

Records that are missing or cannot be read are listed at the end; the others are written all the same."""


def add_parser(commands) -> None:
    """Adds the sub-command."""
    parser = commands.add_parser(
        "embed",
        help="one vector a record",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_batch_options(parser, ".parquet or .npy")
    add_model_options(parser)
    add_reading_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Embeds every record and writes the table."""
    check_output(options.output, (".parquet", ".npy"))
    analyzer = RecordAnalyzer(options.model, device=options.device, window_s=options.window)
    analyzer.load("tokenizer", "backbone")
    outcome = for_each_record(
        options, lambda path, record: (str(path), analyzer.embed(analyzer.clean(record))), "embed"
    )
    summary = ""
    if outcome.results:
        names, embeddings = zip(*outcome.results, strict=True)
        if options.output.suffix == ".npy":
            np.save(options.output, np.stack(embeddings))
            options.output.with_suffix(".records.txt").write_text("".join(f"{name}\n" for name in names))
        else:
            write_parquet(
                options.output, {"record": names, "embedding": [row.tolist() for row in embeddings]}, "float32"
            )
        summary = f"{len(names)} embeddings of length {len(embeddings[0])}"
    return report(outcome, options, summary)
