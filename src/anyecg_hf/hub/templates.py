# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Templates of cards. They lie in the package, so that an installed one has them; `model_cards/` links to them."""

from pathlib import Path

import jinja2

from anyecg_hf.evaluation.results_folder import markdown_table

TEMPLATES = Path(__file__).parent / "card_templates"


def load_template(path: Path) -> jinja2.Template:
    """
    Loads the template of a card, in Markdown. Whatever it names must be there when it is rendered: a gap is
    `jinja2.UndefinedError`. The filter `cell` fits a text into a cell of a table; `table` makes one of a header and
    rows of texts.

    Args:
        path (`Path`): The template.

    Returns:
        `jinja2.Template`
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(path.parent),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown
    )
    environment.filters["cell"] = table_cell
    environment.globals["table"] = markdown_table
    return environment.get_template(path.name)


def table_cell(text: str) -> str:
    """A text on one line, in which nothing ends a cell or starts HTML."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


__all__ = ["TEMPLATES", "load_template", "table_cell"]
