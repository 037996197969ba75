# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`anyecg embed`: one vector a record, or one a window."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anyecg_hf.cli.options import (
    add_batch_options,
    add_model_options,
    add_reading_options,
    choose_output,
    for_each_record,
    report,
)
from anyecg_hf.cli.tables import write_csv, write_parquet
from anyecg_hf.models.anyecg.streaming_anyecg import whole_patches
from anyecg_hf.pipelines import RecordAnalyzer, WindowEmbedding
from anyecg_hf.records import RecordSource

DESCRIPTION = """Embeds recordings: the mean of the backbone's tokens, one vector a record, or one a window.

  anyecg embed records500/ -o embeddings.parquet      columns: record, embedding
  anyecg embed 'holter/*.csv' -o embeddings.npy       rows as listed in embeddings.records.txt

With --stride, one vector for each window, from recordings of any length in bounded memory:

  anyecg embed --window 60 --stride 30 holter.edf
                                    writes embeddings.npy, rows as listed in embeddings.records.csv
  anyecg embed --window 60 --stride 30 holter.edf -o windows.parquet
                                    columns: record, start_s, duration_s, real_share, embedding

A recording is cleaned by what two readings of it show (scale, noise, unusable leads), and then read once more. With
--one-pass it is read once, as a live stream would be, and cleaned by what its first five minutes show.

Records that are missing or cannot be read are listed at the end; the others are written all the same."""


@dataclass(frozen=True)
class Row:
    """One line of the table; `window` is `None` where the embedding is of the whole record."""

    record: str
    embedding: np.ndarray
    window: WindowEmbedding | None = None


def add_parser(commands) -> None:
    """Adds the sub-command."""
    parser = commands.add_parser(
        "embed",
        help="one vector a record, or one a window",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_batch_options(parser, ".npy or .parquet", default="embeddings.npy")
    add_model_options(parser)
    parser.add_argument(
        "--stride", type=float, metavar="SECONDS", help="one vector for each window, starting so far apart"
    )
    parser.add_argument(
        "--one-pass", action="store_true", help="read each record once; statistics of its first five minutes"
    )
    add_reading_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Embeds every record and writes the table."""
    options.output = choose_output(options, (".parquet", ".npy"))
    if options.one_pass and options.stride is None:
        raise ValueError("--one-pass is for windows: pass --stride too.")
    analyzer = RecordAnalyzer(options.model, device=options.device, window_s=options.window)
    analyzer.load("tokenizer", "backbone")
    if options.stride is not None:
        whole_patches(options.stride, analyzer.tokenizer.patch_seconds)  # refuses here what would fail for each record

    def embed(path: Path, source: RecordSource) -> list[Row]:
        if options.stride is None:
            return [Row(str(path), analyzer.embed_source(source))]
        windows = analyzer.embed_windows(source, options.stride, options.one_pass)
        return [Row(str(path), window.embedding, window) for window in windows]

    outcome = for_each_record(options, embed, "embed")
    rows = [row for found in outcome.results for row in found]
    if not rows:
        return report(outcome, options, "")
    _write(options.output, rows)
    summary = f"{len(rows)} embeddings of length {len(rows[0].embedding)}"
    if options.stride is None:
        return report(outcome, options, summary)
    return report(outcome, options, summary + _basis(rows, options.one_pass), {"windows": len(rows), **_facts(rows)})


def _write(output: Path, rows: list[Row]) -> None:
    columns = {"record": [row.record for row in rows]}
    if rows[0].window is not None:
        for name in ("start_s", "duration_s", "real_share"):
            columns[name] = [getattr(row.window, name) for row in rows]
    if output.suffix == ".parquet":
        write_parquet(output, {**columns, "embedding": [row.embedding for row in rows]}, "float32")
        return
    np.save(output, np.stack([row.embedding for row in rows]))
    if rows[0].window is None:
        output.with_suffix(".records.txt").write_text("".join(f"{row.record}\n" for row in rows))
    else:
        write_csv(output.with_suffix(".records.csv"), columns)


def _basis(rows: list[Row], one_pass: bool) -> str:
    """What the cleaning rests on, in words."""
    if not one_pass:
        return ", cleaned by statistics of the whole records,"
    longest = max(row.window.statistics.basis_s for row in rows)
    return f", cleaned in one pass by statistics of the first {longest:.4g} s,"


def _facts(rows: list[Row]) -> dict:
    """The statistics that each record was cleaned by."""
    by_record = {row.record: row.window.statistics for row in rows}
    return {
        "statistics": [
            {
                "record": record,
                "measured_on_s": statistics.basis_s,
                "scale_mv": statistics.scale,
                "notes": list(statistics.notes),
            }
            for record, statistics in by_record.items()
        ]
    }
