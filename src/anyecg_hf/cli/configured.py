# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Sub-commands whose options are the fields of a configuration: `anyecg COMMAND --config FILE --field value`."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partialmethod
from typing import Any

# No argument begins with it: everything behind the command's name is left to the parser of the configuration.
_NO_PREFIX = "\0"

_EPILOG = (
    "Options after --config replace what the file says; `--list+=ITEM` adds to a list. Those that are true or false"
    " need no value to be true. `--print_config` shows what all of it comes to, and runs nothing."
)


def add_configured_parser(
    commands: Any,
    name: str,
    help: str,
    description: str,
    config_class: Callable[[], type],
    work: Callable[[Any], int],
    shortcuts: Mapping[str, Callable[[str], list[str]]] | None = None,
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
        shortcuts (`Mapping[str, Callable[[str], list[str]]]`, *optional*): Further option -> what its value stands for,
            in options of the configuration.
    """
    parser = commands.add_parser(name, help=help, prefix_chars=_NO_PREFIX, add_help=False)
    parser.add_argument("arguments", nargs="*")

    def run(options: argparse.Namespace) -> int:
        from anyecg_hf.training.config_files import parse_config

        found_class = config_class()
        try:
            config = parse_config(
                found_class,
                with_shortcuts(shortcuts or {}, options.arguments),
                prog=f"anyecg {name}",
                usage=f"anyecg {name} --config FILE [--section.field VALUE ...]",
                description=description,
                epilog=_EPILOG,
                formatter_class=_formatter(),
            )
        except ValueError as error:
            print(f"anyecg {name}: {' '.join(str(error).split())}", file=sys.stderr)
            print(f"`anyecg {name} --help` lists the options.", file=sys.stderr)
            return 2
        _tidy_bars()
        return work(config)

    # What `main` calls a checkpoint whose weights cannot be read.
    parser.set_defaults(run=run, model="the checkpoint")


def _formatter() -> type:
    """jsonargparse's help, with the description's own lines."""
    from jsonargparse import DefaultHelpFormatter

    class Formatter(argparse.RawDescriptionHelpFormatter, DefaultHelpFormatter):
        pass

    return Formatter


def _tidy_bars() -> None:
    """Bars of reading, cleaning and encoding vanish when they are done, and are shown on terminals only."""
    import datasets

    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    # `datasets` can only switch bars off; `TQDM_LEAVE` counts when tqdm is imported, and for training's own bar too.
    bar = datasets.utils.tqdm
    if not isinstance(vars(bar)["__init__"], partialmethod):
        bar.__init__ = partialmethod(bar.__init__, leave=False)


def with_shortcuts(shortcuts: Mapping[str, Callable[[str], list[str]]], arguments: Sequence[str]) -> list[str]:
    """
    Puts what shortcuts stand for in their place.

    Args:
        shortcuts (`Mapping[str, Callable[[str], list[str]]]`): Option -> what its value stands for.
        arguments (`Sequence[str]`): Command line.

    Returns:
        `list[str]`

    Raises:
        `ValueError`: if a shortcut has no value.
    """
    found, waiting = [], list(arguments)
    while waiting:
        argument = waiting.pop(0)
        option, equals, value = argument.partition("=")
        if option not in shortcuts:
            found.append(argument)
            continue
        if not equals:
            if not waiting or waiting[0].startswith("--"):
                raise ValueError(f"{option} needs a value.")
            value = waiting.pop(0)
        found += shortcuts[option](value)
    return found


__all__ = ["add_configured_parser", "with_shortcuts"]
