# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`anyecg run`: one record in; what was read, codes, probabilities and a picture out."""

import argparse
import json
import math
import sys
from pathlib import Path

from anyecg_hf.cli.options import add_model_options, add_reading_options, read
from anyecg_hf.cli.tables import check_suffix
from anyecg_hf.pipelines import RecordAnalysis, RecordAnalyzer
from anyecg_hf.pipelines.analysis_report import analysis_to_dict
from anyecg_hf.records import ECGRecord
from anyecg_hf.records.reading import FORMATS

DESCRIPTION = """Reads one ECG recording and prints what was read and how it was cleaned, its rhythm codes and the class
probabilities; draws it on ECG paper with the reconstruction from its codes laid over it.

  anyecg run records500/00000/00001_hr
  anyecg run holter.csv --sampling-rate 250 --unit mV --output holter.png

The record is held in memory whole; for one of many hours there is `anyecg embed --stride`.

Research software, not a medical device."""

CODES_SHOWN = 24


def add_parser(commands) -> None:
    """Adds the sub-command."""
    parser = commands.add_parser(
        "run",
        help="codes, probabilities and a picture of one record",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "record",
        metavar="RECORD",
        help=f"WFDB record with or without suffix, or file in one of {', '.join(known.name for known in FORMATS)};"
        " one of many records is named behind its file: exams.hdf5::1169160",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="PICTURE",
        help=".png, .pdf or .svg file to write (default: RECORD's name + .png, here)",
    )
    parser.add_argument("--no-picture", action="store_true", help="write no picture")
    parser.add_argument(
        "--start", type=float, default=0.0, metavar="SECONDS", help="where the picture starts (default: 0)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON with all codes")
    add_model_options(parser)
    add_reading_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Analyses the record, prints and draws."""
    if not options.no_picture:
        _check_picture(options)
    record = read(options.record, options)
    if not options.no_picture:
        _check_start(options.start, record)
    analyzer = RecordAnalyzer(options.model, device=options.device, window_s=options.window)
    analysis = analyzer.analyse(record)
    patch_seconds = analyzer.tokenizer.patch_seconds
    picture = None
    if not options.no_picture:
        picture = options.output or Path(f"{Path(options.record).stem}.png")
        _draw(analysis, analyzer, picture, options.start)
    if options.json:
        found = analysis_to_dict(analysis, patch_seconds)
        json.dump({**found, "picture": None if picture is None else str(picture)}, sys.stdout, indent=2)
        print()
    else:
        _print(analysis, patch_seconds, picture)
    return 0


def _check_picture(options: argparse.Namespace) -> None:
    """Refuses what can be refused before the record is read."""
    from anyecg_hf.plotting.ecg_paper import FORMATS

    if options.output is not None:
        check_suffix(options.output, FORMATS)
    if not (math.isfinite(options.start) and options.start >= 0):
        raise ValueError(f"--start must be a number of seconds, 0 or more, got {options.start:g}.")


def _check_start(start_s: float, record: ECGRecord) -> None:
    """Refuses a picture that starts beyond the record before the record is analysed."""
    if start_s >= record.duration_s:
        raise ValueError(f"--start must lie in the record, from 0 to below {record.duration_s:g} s, got {start_s:g}.")


def _draw(analysis: RecordAnalysis, analyzer: RecordAnalyzer, path: Path, start_s: float) -> None:
    from anyecg_hf.plotting import plot_ecg, save_figure

    record = analysis.record
    tokenizer = analyzer.tokenizer
    figure = plot_ecg(
        analysis.cleaned_mv,
        tokenizer.sampling_rate,
        record.lead_names,
        reconstruction_mv=analysis.reconstruction_mv,
        reconstruction_rate=tokenizer.sampling_rate,
        codes=analysis.codes,
        patch_seconds=tokenizer.patch_seconds,
        unusable=analysis.cleaned.unusable,
        title=record.record_id or "",
        subtitle=f"{record.n_leads} leads, {record.duration_s:g} s, {record.sampling_rate:g} Hz; shown after cleaning",
        start_s=start_s,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    save_figure(figure, path)


def _print(analysis: RecordAnalysis, patch_seconds: float, picture: Path | None) -> None:
    record, cleaned, codes = analysis.record, analysis.cleaned, analysis.codes
    shown = codes[..., 0] if codes.ndim == 3 else codes
    unusable = ", ".join(f"{record.lead_names[lead]} ({why})" for lead, why in sorted(cleaned.unusable.items()))
    print(f"Record      {record.record_id}: {record.n_leads} leads, {' '.join(record.lead_names)}")
    print(f"Length      {record.duration_s:g} s, {record.n_samples} samples at {record.sampling_rate:g} Hz")
    print(f"Cleaning    {'; '.join(cleaned.steps)}")
    print(f"Unusable    {unusable or 'no lead'}; {cleaned.masked_patches} patches masked for missing samples")
    different = len(set(shown[shown >= 0].tolist()))
    print(
        f"Codes       {shown.shape[0]} leads x {shown.shape[1]} patches of {patch_seconds:g} s, {different} different"
    )
    for name, row in zip(record.lead_names, shown, strict=True):
        rest = f" ... ({len(row)})" if len(row) > CODES_SHOWN else ""
        print(f"  {name:<8}  {' '.join(f'{code:>3}' if code >= 0 else '  .' for code in row[:CODES_SHOWN])}{rest}")
    windows = f", mean of {analysis.windows} windows" if analysis.windows > 1 else ""
    print(f"Classes     probability{windows}")
    for found in sorted(analysis.classes, key=lambda found: -found.probability):
        mark = {True: "*", False: " ", None: " "}[found.present]
        print(f"  {found.label:<8}  {found.probability:.3f} {mark} {found.description}")
    if any(found.present is not None for found in analysis.classes):
        print("            * at or above the threshold chosen on selection records")
    if picture is not None:
        print(f"Picture     {picture}")
    print("Research software, not a medical device.")
