# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`anyecg evaluate`: a task on test records, beside the rows that belong to it."""

from typing import Any

from anyecg_hf.cli.configured import add_configured_parser

DESCRIPTION = """Evaluates a checkpoint on a task. Classification: beside the majority class, probes on random and on
pre-trained backbones, hand-crafted features and a residual network trained from scratch on the same records. Lead
restoration: beside least squares and the identities of limb leads. Beats, rhythm and long records: by cross-validation
over patients.

  anyecg evaluate --config superclass.yaml
  anyecg evaluate --config superclass.yaml --checkpoint runs/superclass/final --output_dir results

Writes results.json, results.md and plots: figures with intervals over patients, paired differences, classes, subgroups,
calibration, robustness. Test records whose patient, name or signal is among the training or validation records are
refused."""


def add_parser(commands: Any) -> None:
    """Adds the sub-command."""
    add_configured_parser(commands, "evaluate", "figures of a task on test records", DESCRIPTION, _config_class, _work)


def _config_class() -> type:
    from anyecg_hf.evaluation.evaluation_configs import EvaluationConfig

    return EvaluationConfig


def _work(config: Any) -> int:
    from anyecg_hf.evaluation.protocols import evaluate_task

    results = evaluate_task(config)
    if "main_figure" not in results["task"]:
        print(f"results.json and results.md written to {config.output_dir}")
        return 0
    figure = results["task"]["main_figure"]
    for row in results["rows"].values():
        found = row["figures"][figure]
        text = f"{found['estimate']:.3f} [{found['low']:.3f}, {found['high']:.3f}]" if found else "not defined"
        print(f"{row['title']:<36}{figure} {text}")
    print(f"results.json, results.md and plots written to {config.output_dir}")
    return 0


__all__ = ["add_parser"]
