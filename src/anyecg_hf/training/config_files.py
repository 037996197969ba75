# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Configurations from YAML files and the command line, and back."""

import dataclasses
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import yaml

Config = TypeVar("Config")


def config_parser(config_class: type, **arguments: Any) -> Any:
    """
    A command line whose options are the fields of a configuration, nested ones with dots, and `--config FILE`.

    Args:
        config_class (`type`): A dataclass of `training.configs`.
        arguments: Of `jsonargparse.ArgumentParser`, for example `prog`.

    Returns:
        `jsonargparse.ArgumentParser`

    Raises:
        `ImportError`: without jsonargparse.
    """
    try:
        from jsonargparse import ArgumentParser
    except ImportError as error:
        raise ImportError('Configurations need jsonargparse: pip install "anyecg-hf[train]"') from error
    parser = ArgumentParser(**{"allow_abbrev": False, **arguments})  # `--run.step` is a typo of `--run.steps`
    parser.add_argument("--config", action="config", help="YAML file with any of the options below")
    parser.add_class_arguments(config_class, None)
    return parser


def parse_config(config_class: type[Config], arguments: Sequence[str], **parser_arguments: Any) -> Config:
    """
    Reads a configuration from a command line.

    Args:
        config_class (`type`): A dataclass of `training.configs`.
        arguments (`Sequence[str]`): Command line, for example `["--config", "tiny.yaml", "--run.steps", "100"]`. An
            option that is true or false needs no value to be true.
        parser_arguments: As in [`config_parser`].

    Returns:
        An instance of `config_class`.

    Raises:
        `ValueError`: for an unknown key, a missing one, or a value of another type; names it.
    """
    parser = config_parser(config_class, exit_on_error=False, **parser_arguments)
    from jsonargparse import ArgumentError  # after the parser, which says how to install it

    try:
        # jsonargparse fills in nested dataclasses on the way; the fields themselves make our class.
        parsed = parser.instantiate(parser.parse_args(_with_values(config_class, arguments)))
    except ArgumentError as error:
        raise ValueError(f"{config_class.__name__}: {error}") from error
    names = [item.name for item in dataclasses.fields(config_class)]
    return config_class(**{name: parsed[name] for name in names})


def _with_values(config_class: type, arguments: Sequence[str]) -> list[str]:
    """Gives options that are true or false, and have no value, the value true."""
    flags = set(_flags(config_class))
    return [
        f"{argument}=true" if argument in flags and following not in ("true", "false") else argument
        for argument, following in pairwise([*arguments, ""])
    ]


def _flags(config_class: type, prefix: str = "--") -> list[str]:
    found = []
    for item in dataclasses.fields(config_class):
        if item.type is bool:
            found.append(f"{prefix}{item.name}")
        elif dataclasses.is_dataclass(item.type):
            found += _flags(item.type, f"{prefix}{item.name}.")
    return found


def load_config(config_class: type[Config], path: str | Path, **overrides: Any) -> Config:
    """
    Reads a configuration from a YAML file.

    Args:
        config_class (`type`): A dataclass of `training.configs`.
        path (`str` or `Path`): The file.
        overrides: Keys, nested ones with dots replaced by two underscores (`run__steps=10`), that replace those of the
            file.

    Returns:
        An instance of `config_class`.

    Raises:
        `ValueError`: as [`parse_config`].
    """
    options = [f"--{name.replace('__', '.')}={_as_argument(value)}" for name, value in overrides.items()]
    return parse_config(config_class, ["--config", str(path), *options])


def _as_argument(value: Any) -> str:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n")


def save_config(config: Any, path: str | Path) -> None:
    """
    Writes a configuration with all its defaults as YAML, which [`load_config`] reads.

    Args:
        config: A dataclass of `training.configs`.
        path (`str` or `Path`): The file.
    """
    Path(path).write_text(yaml.safe_dump(dataclasses.asdict(config), sort_keys=False, allow_unicode=True))


def different_fields(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """
    What two configurations differ in.

    Args:
        before, now (`dict`): As `dataclasses.asdict` or YAML gives them.
        prefix (`str`, *optional*): Put before the names.

    Returns:
        `dict[str, tuple]`: name, nested ones with dots, -> both values; `None` where one does not have it.
    """
    found = {}
    for name in [*before, *(key for key in now if key not in before)]:
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found |= different_fields(old, new, f"{prefix}{name}.")
        elif old != new:
            found[f"{prefix}{name}"] = (old, new)
    return found


__all__ = ["config_parser", "different_fields", "load_config", "parse_config", "save_config"]
