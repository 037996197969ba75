# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Which protocol a task is evaluated by."""

from typing import Any

from ..training.configs import LABEL_TASKS, LONG_TASKS, RECONSTRUCTION_TASK, TOKEN_TASKS
from .evaluation_configs import EvaluationConfig


def evaluate_task(config: EvaluationConfig) -> dict[str, Any]:
    """
    Evaluates by the protocol of `config.task.name`.

    Args:
        config ([`EvaluationConfig`]): What to evaluate, and on what.

    Returns:
        `dict`: what `results.json` holds; its form is the protocol's own.

    Raises:
        `ValueError`: for an unknown task, and as the protocol.
    """
    name = config.task.name
    # Late: every protocol brings libraries of its own.
    if name in LABEL_TASKS:
        from .classification.protocol import evaluate

        return evaluate(config)
    if name in TOKEN_TASKS:
        from .annotations.token_labels import evaluate_token_labels

        return evaluate_token_labels(config)
    if name in LONG_TASKS:
        from .annotations.long_records import evaluate_long_records

        return evaluate_long_records(config)
    if name == RECONSTRUCTION_TASK:
        from .leads.reconstruction import evaluate_lead_reconstruction

        return evaluate_lead_reconstruction(config)
    known = (*LABEL_TASKS, *TOKEN_TASKS, *LONG_TASKS, RECONSTRUCTION_TASK)
    raise ValueError(f"`task.name` must be one of {', '.join(known)}, got {name!r}.")


__all__ = ["evaluate_task"]
