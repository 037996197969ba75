# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the scripts in `dataset_scripts/` do: corpus -> Parquet, picture and card -> if asked for, the Hub."""

import argparse
import inspect
import sys
import types
import typing
from collections.abc import Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from anyecg_hf.corpora import CORPORA, corpus_builder
from anyecg_hf.corpora.building import CorpusConfig
from anyecg_hf.corpora.parquet.engines import ENGINES
from anyecg_hf.corpora.parquet.shard_rows import FORMS
from anyecg_hf.corpora.parquet.sharding import PreparedCorpus, write_corpus
from anyecg_hf.hub.corpus_cards import write_corpus_card, write_corpus_gallery
from anyecg_hf.hub.corpus_publishing import publish_corpus

# Fields of every configuration: `datasets`' own, and those that have an option of their own here.
_COMMON = {field.name for field in fields(CorpusConfig)}


def main(corpus: str, arguments: Sequence[str] | None = None) -> int:
    """
    Runs a script.

    Args:
        corpus (`str`): Name of the corpus.
        arguments (`Sequence[str]`, *optional*): Command line without the script's name; `sys.argv` by default.

    Returns:
        `int`: exit status: 0 done, 1 something could not be done, 2 wrong usage.
    """
    parser = _parser(corpus)
    options = parser.parse_args(arguments)
    if options.dry_run and options.push is None:
        parser.error("--dry-run shows what --push would upload: name the dataset with --push")
    try:
        prepared = _prepare(corpus, options)
        _publish(prepared, options)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        print(f"{parser.prog}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{parser.prog}: stopped. What is finished is kept; run the same again to go on.", file=sys.stderr)
        return 130
    return 0


def _prepare(corpus: str, options: argparse.Namespace) -> PreparedCorpus:
    builder = corpus_builder(
        corpus,
        data_dir=options.data_dir,
        leads=options.leads,
        strict=options.strict,
        cache_dir=options.cache_dir,
        base_url=options.base_url,
        **{name: getattr(options, name) for name in _own_options(corpus) if hasattr(options, name)},
    )
    prepared = write_corpus(
        builder,
        options.output,
        shard_mb=options.shard_mb,
        num_proc=options.num_proc,
        engine=options.engine,
        ray_address=options.ray_address,
        form=options.form,
        overwrite=options.overwrite,
    )
    if options.gallery:
        write_corpus_gallery(prepared, builder.description)
    card = write_corpus_card(prepared, builder.description)
    counts, report = prepared.counts, prepared.report
    n_records, n_files = _counted(counts.n_rows, "record"), _counted(len(prepared.shards), "file")
    print(
        f"{n_records}, {counts.duration_s / 3600:.1f} hours, {prepared.n_bytes / 1e6:.1f} MB in {n_files}"
        f" ({prepared.n_written} written now) in {prepared.folder}"
    )
    if report.lines:
        print(
            f"records left out: {len(report.skipped)}, remarks: {len(report.noted)}; see report.jsonl and {card.name}"
        )
    return prepared


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _publish(prepared: PreparedCorpus, options: argparse.Namespace) -> None:
    if options.push is None:
        return
    published = publish_corpus(prepared.folder, options.push, private=options.private, dry_run=options.dry_run)
    if published.commit_url is not None:
        print(f"published: {published.commit_url}")
        return
    for file in published.files:
        print(f"{file.n_bytes:>14,}  {file.path}")
    print(f"{published.n_bytes:>14,}  in all; nothing was uploaded to {published.repo_id}")


def _parser(corpus: str) -> argparse.ArgumentParser:
    description = CORPORA[corpus].description
    parser = argparse.ArgumentParser(
        description=f"{description.title}: to Parquet files with a card, and to the Hub with --push. An interrupted run"
        " goes on where it ended."
    )
    access = "" if description.access == "open" else f" {description.access}"
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help=f"the corpus; downloaded where it can be without this.{access}".replace("%", "%%"),
    )
    parser.add_argument("--output", type=Path, metavar="DIR", required=True, help="folder to fill")
    parser.add_argument("--form", choices=FORMS, default="public", help="mV for everyone, or the source bit by bit")
    parser.add_argument("--shard-mb", type=float, default=500, metavar="MB", help="size of a file (default: 500)")
    parser.add_argument("--leads", type=_list, metavar="I,II,V1", help="leads to keep, in this order")
    parser.add_argument("--strict", action="store_true", help="stop at a record that cannot be used")
    parser.add_argument("--overwrite", action="store_true", help="replace what another plan left in the folder")
    parser.add_argument("--cache-dir", type=Path, metavar="DIR", help="where downloads are kept")
    parser.add_argument("--base-url", metavar="URL", help="where to download from, in place of the official site")
    parser.add_argument("--gallery", action=argparse.BooleanOptionalAction, default=True, help="draw a few records")
    work = parser.add_argument_group("where the work is done")
    work.add_argument("--num-proc", type=int, metavar="N", help="files written at a time (Ray: default all CPUs)")
    work.add_argument("--engine", choices=ENGINES, default="local", help="processes of this machine, or Ray")
    work.add_argument("--ray-address", metavar="ADDRESS", help="of a cluster that sees the same folders")
    hub = parser.add_argument_group("the Hub")
    hub.add_argument("--push", metavar="ORG/NAME", help="upload the folder to this dataset, in one commit")
    hub.add_argument("--private", action="store_true", help="the dataset must be private")
    hub.add_argument("--dry-run", action="store_true", help="list what would be uploaded")
    _add_own_options(parser, corpus)
    return parser


def _own_options(corpus: str) -> dict[str, Field]:
    """Options that only this corpus has."""
    found = fields(CORPORA[corpus].BUILDER_CONFIG_CLASS)
    return {field.name: field for field in found if field.name not in _COMMON}


def _add_own_options(parser: argparse.ArgumentParser, corpus: str) -> None:
    own = _own_options(corpus)
    if not own:
        return
    config = CORPORA[corpus].BUILDER_CONFIG_CLASS
    kinds = typing.get_type_hints(config)
    group = parser.add_argument_group(f"options of {corpus}")
    for name, field in own.items():
        flag = f"--{name.replace('_', '-')}"
        # Without a default: what is not given is left to the configuration.
        common: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS}
        default = "" if field.default in (None, "", MISSING) else f" (default: {field.default})"
        if kinds[name] is bool:
            group.add_argument(flag, action=argparse.BooleanOptionalAction, **common, help=default.strip(" ()"))
        else:
            group.add_argument(flag, type=_parse_as(kinds[name]), metavar="VALUE", **common, help=default.strip(" ()"))
    parser.epilog = inspect.getdoc(config)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def _parse_as(kind: Any) -> Any:
    """Function that turns a text into a value of that type; `None` is what is not given."""
    if isinstance(kind, types.UnionType):
        (kind,) = (part for part in kind.__args__ if part is not types.NoneType)
    return kind if kind in (int, float, str) else _list


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


__all__ = ["main"]
