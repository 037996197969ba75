# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Entry point of the command `anyecg`."""

import argparse
import logging
import sys
import warnings

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

from anyecg_hf.cli import (
    codebook,
    corpora,
    demo,
    embed,
    env,
    evaluate,
    export,
    finetune,
    inspect,
    pretrain,
    pull,
    push,
    run,
    tokenize,
    train_quantizer,
)
from anyecg_hf.version import __version__

COMMANDS = (
    *(run, inspect, embed, tokenize, codebook, corpora),
    *(train_quantizer, pretrain, finetune, evaluate, export, push, pull, demo, env),
)

DESCRIPTION = """AnyECG on your recordings: rhythm codes, embeddings, class probabilities and pictures.

Research software, not a medical device."""


def main(arguments: list[str] | None = None) -> int:
    """
    Runs one sub-command.

    Args:
        arguments (`list[str]`, *optional*): Command line without the program's name; `sys.argv` by default.

    Returns:
        `int`: exit status: 0 done, 1 something could not be read or done, 2 wrong usage.
    """
    parser = argparse.ArgumentParser(
        prog="anyecg", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"anyecg_hf {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(commands)
    parsed = parser.parse_args(arguments)
    _quieten_libraries()
    try:
        return parsed.run(parsed)
    except (ValueError, OSError, ImportError, StrictDataclassError) as error:
        print(f"anyecg {parsed.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except SafetensorError as error:
        print(f"anyecg {parsed.command}: the weights of {parsed.model} cannot be read: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _quieten_libraries() -> None:
    """One line a warning, and no progress bars of weight loading."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.captureWarnings(False)
    warnings.showwarning = _show_warning


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    print(f"Warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
