# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Sub-commands whose options are the fields of a configuration: `anyecg COMMAND --config FILE --field value`."""

import argparse
import sys
from collections.abc import Callable
from typing import Any

# No argument begins with it: everything behind the command's name is left to the parser of the configuration.
_NO_PREFIX = "\0"


def add_configured_parser(
    commands: Any,
    name: str,
    help: str,
    description: str,
    config_class: Callable[[], type],
    work: Callable[[Any], int],
) -> None:
    """
    Adds a sub-command.

    Args:
        commands: Of `argparse.ArgumentParser.add_subparsers`.
        name (`str`): Its name.
        help (`str`): One line for the list of commands.
        description (`str`): What `anyecg NAME --help` shows above the fields of the configuration.
        config_class (`Callable`): Imports the configuration's class and returns it. Called when the command is chosen,
            so that the other commands need not wait for what it imports.
        work (`Callable`): Configuration -> exit status. Imports late, too.
    """
    parser = commands.add_parser(name, help=help, prefix_chars=_NO_PREFIX, add_help=False)
    parser.add_argument("arguments", nargs="*")

    def run(options: argparse.Namespace) -> int:
        from anyecg_hf.training.config_files import parse_config

        try:
            config = parse_config(
                config_class(),
                options.arguments,
                prog=f"anyecg {name}",
                description=description,
                formatter_class=_formatter(),
            )
        except ValueError as error:
            print(f"anyecg {name}: {' '.join(str(error).split())}", file=sys.stderr)
            print(f"`anyecg {name} --help` lists the options.", file=sys.stderr)
            return 2
        if not sys.stderr.isatty():
            import datasets

            datasets.disable_progress_bars()
        return work(config)

    # What `main` calls a checkpoint whose weights cannot be read.
    parser.set_defaults(run=run, model="the checkpoint")


def _formatter() -> type:
    """jsonargparse's help, with the description's own lines."""
    from jsonargparse import DefaultHelpFormatter

    class Formatter(argparse.RawDescriptionHelpFormatter, DefaultHelpFormatter):
        pass

    return Formatter


__all__ = ["add_configured_parser"]
