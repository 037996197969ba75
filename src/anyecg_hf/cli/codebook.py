# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`anyecg codebook`: a gallery of rhythm codes."""

import argparse
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from anyecg_hf import TINY
from anyecg_hf.cli.options import (
    Outcome,
    add_device_option,
    add_reading_options,
    choose_output,
    for_each_record,
    report,
)
from anyecg_hf.records import RecordSource

if TYPE_CHECKING:
    from anyecg_hf.evaluation.code_reports.code_gallery import CodeGatherer

DESCRIPTION = """Draws what each rhythm code stands for: its mean waveform on ECG paper and the spread, how often it
occurs, in which leads, and in which rhythm classes more often than elsewhere; and which codes are never used.

  anyecg codebook anyecg-tiny records500/ -o gallery.html
  anyecg codebook path/to/checkpoint --corpus georgia=data/challenge-2021 --corpus ludb=data/ludb -o gallery.png

Rhythm classes come from the SNOMED CT codes of a corpus, or of the records' own headers. The model is a checkpoint,
anyecg-tiny for the embedded one, or a quantizer with its preprocessor_config.json. Codes depend on the window, by
default the one that the quantizer was trained on.

The page (.html) holds every code, sorts and filters; the picture (.png) the most frequent ones; a summary
(.safetensors) is what `anyecg demo --web --gallery` looks codes up in. Of residual codebooks the first is shown.
Records that are missing or cannot be read are listed at the end."""


def add_parser(commands) -> None:
    """Adds the sub-command."""
    parser = commands.add_parser(
        "codebook",
        help="gallery of rhythm codes",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="checkpoint, quantizer, or anyecg-tiny for the embedded one")
    parser.add_argument("records", nargs="*", metavar="RECORD", help="records, folders or globs")
    parser.add_argument(
        "--corpus", action="append", default=[], metavar="NAME=DIR", help="every record of a corpus; may be repeated"
    )
    parser.add_argument(
        *("-o", "--output"),
        type=Path,
        help=".html, .png or .safetensors file to write (default: codebook.html, unless that exists)",
    )
    parser.add_argument("--most", type=int, metavar="N", help="codes to show (default: 1024 or, in a picture, 18)")
    add_device_option(parser)
    parser.add_argument(
        "--window", type=float, metavar="SECONDS", help="longest window (default: what the quantizer trained on)"
    )
    parser.add_argument("--json", action="store_true", help="print every figure of every code as JSON")
    add_reading_options(parser)
    parser.set_defaults(run=run, default_output=Path("codebook.html"), usage_error=parser.error)


def run(options: argparse.Namespace) -> int:
    """Gathers the codes of all records and draws them."""
    corpora = [_parse_corpus(argument, options) for argument in options.corpus]
    if not options.records and not corpora:
        options.usage_error("name records, or a corpus with --corpus NAME=DIR.")
    if options.most is not None and options.most < 1:
        options.usage_error(f"--most must be at least 1, got {options.most}.")
    # Late: without matplotlib the other commands still run.
    from anyecg_hf.evaluation.code_reports.code_gallery import CodeGatherer, load_tokenizer
    from anyecg_hf.plotting.code_summary_files import SUFFIX, save_code_summary
    from anyecg_hf.plotting.codebook_gallery import FORMATS, save_codebook_gallery

    options.output = choose_output(options, (*FORMATS, SUFFIX))
    is_embedded = options.model == Path(TINY).name and not Path(options.model).exists()
    gatherer = CodeGatherer(load_tokenizer(TINY if is_embedded else options.model).to(options.device), options.window)

    def add(path: Path, source: RecordSource) -> str:
        gatherer.add_source(source, str(path))
        return str(path)

    outcome = for_each_record(options, add, "codebook") if options.records else Outcome()
    for name, folder in corpora:
        _add_corpus(gatherer, name, folder, outcome)
    if not outcome.results:
        return report(outcome, options, "")
    summary = gatherer.finish()
    if options.output.suffix.lower() == SUFFIX:
        sources = [name for name, _ in corpora] + ["files named by hand"] * bool(options.records)
        data = f"{summary.records} records of {', '.join(sources)}"
        save_code_summary(summary, options.output, gatherer.tokenizer.quantizer, data)
    else:
        save_codebook_gallery(summary, options.output, options.most, f"Rhythm codes of {Path(options.model).name}")
    text = (
        f"{len(summary.by_count)} of {summary.codebook_size} codes in use, perplexity {summary.perplexity:.0f}, in"
        f" {summary.records} records, {summary.labelled_records} of them with a rhythm class,"
    )
    return report(outcome, options, text, summary.to_dict())


def _parse_corpus(argument: str, options: argparse.Namespace) -> tuple[str, str]:
    from anyecg_hf.corpora import CORPORA

    name, _, folder = argument.partition("=")
    if name not in CORPORA or not Path(folder).is_dir():
        options.usage_error(f"--corpus {argument}: expected NAME=DIR, NAME being one of {', '.join(CORPORA)}.")
    return name, folder


def _add_corpus(gatherer: "CodeGatherer", name: str, folder: str, outcome: Outcome) -> None:
    found = gatherer.add_corpus(name, folder)
    with warnings.catch_warnings():
        # Leads that are masked, by the hundred: the figures count what is left.
        warnings.simplefilter("ignore", UserWarning)
        for left_out in tqdm(found, desc=name, unit="record", disable=not sys.stderr.isatty() or None):
            if left_out is None:
                outcome.results.append(name)
            else:
                outcome.failures[left_out.path] = left_out.reason
