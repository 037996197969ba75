# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the stages of fine-tuning have in common: loading, watching, saving."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from anyecg_hf.evaluation.metrics import best_thresholds, macro_auroc
from anyecg_hf.models.anyecg import AnyECGConfig
from anyecg_hf.models.anyecg.compatibility_anyecg import check_codes_match, check_tokenizer_matches
from anyecg_hf.training.adapters import adapt, load_adapted, save_adapted
from anyecg_hf.training.configs import FinetuningConfig
from anyecg_hf.training.model_configs import check_fields, check_fixed, parent_digest, shared_with_tokenizer
from anyecg_hf.training.stage import Stage, mean_terms
from anyecg_hf.training.windows import Batch, Row


class TaskStage(Stage):
    """
    Trains a model with a head of its own on a checkpoint's backbone. Subclasses set `config` and `tokenizer` before
    they call [`~TaskStage.load_model`].

    Class attributes: `model_class`; `head`, the prefix of the weights that a checkpoint need not have; `codes_class`,
    what is trained instead where `code_weight` is set, if the task knows that; `defaults`, fields of the configuration
    that `config.model` may change.
    """

    model_class: ClassVar[type[PreTrainedModel]]
    head: ClassVar[str]
    codes_class: ClassVar[type[PreTrainedModel] | None] = None
    defaults: ClassVar[dict[str, Any]] = {}
    config: FinetuningConfig

    def load_model(self, settings: dict[str, Any]) -> PreTrainedModel:
        """
        The checkpoint with the task's head, not yet adapted. Its hash is kept as `parent_sha256`.

        Args:
            settings (`dict`): Fields of the configuration that follow from the task.

        Returns:
            `PreTrainedModel`

        Raises:
            `ValueError`: for unknown or contradicting fields in `config.model`, and if the checkpoint does not fit.
        """
        config, model_class, arguments = self.config, self.model_class, {}
        if config.code_weight > 0:
            if self.codes_class is None:
                raise ValueError(
                    f"`code_weight` must be 0 for the task {config.task.name!r}: it goes with classification."
                )
            model_class, arguments = self.codes_class, {"code_weight": config.code_weight}
        check_fields(AnyECGConfig, config.model)
        fixed = {**settings, **config.adaptation.loading_arguments()}
        check_fixed(config.model, {**fixed, **shared_with_tokenizer(self.tokenizer)}, "task, adaptation or tokenizer")
        arguments |= {**self.defaults, **config.model, **fixed}
        model, found = model_class.from_pretrained(
            config.checkpoint, output_loading_info=True, ignore_mismatched_sizes=True, **arguments
        )
        absent = [*found["missing_keys"], *(key for key, *_ in found["mismatched_keys"])]
        odd = sorted(key for key in absent if not key.startswith(self.head))
        odd += sorted(key for key in found["unexpected_keys"] if key.startswith("anyecg."))
        if odd:
            raise ValueError(
                f"the model does not fit the weights of {config.checkpoint}, {len(odd)} of which would be random or"
                f" left out: {', '.join(odd[:4])}. Leave fields that shape the backbone out of `model`, and"
                " `code_weight` at 0 where the checkpoint has no code head."
            )
        check_tokenizer_matches(model.config, self.tokenizer)
        if config.code_weight > 0:
            check_codes_match(model.config, self.tokenizer.quantizer.config)
        self.parent_sha256 = parent_digest(self.tokenizer, model, absent)
        return model

    def adapted(self, model: PreTrainedModel) -> PreTrainedModel | nn.Module:
        """The model with those weights trainable that the configuration says."""
        return adapt(model, self.config.adaptation)

    def watch(
        self, model: nn.Module, batches: Iterator[tuple[Batch, list[Row]]], see: Callable[[Batch, Any], None]
    ) -> dict[str, float]:
        """
        Loss terms over many batches ([`mean_terms`]); `see` is shown every batch with its outputs.

        Args:
            model (`nn.Module`): In evaluation mode.
            batches (`Iterator`): Of [`validation_batches`].
            see (`Callable`): Takes a batch, on the CPU, and the model's outputs.

        Returns:
            `dict[str, float]`
        """
        shown: list[Batch] = []

        def noted() -> Iterator[tuple[Batch, list[Row]]]:
            for batch, rows in batches:
                shown[:] = [batch]
                yield batch, rows

        def keep(_: nn.Module, inputs: Any, outputs: Any) -> None:
            see(shown[0], outputs)

        hook = model.register_forward_hook(keep)
        try:
            return mean_terms(self, model, noted())
        finally:
            hook.remove()

    def save(self, model: PreTrainedModel, state_dict: dict[str, torch.Tensor], folder: Path) -> None:
        self.tokenizer.save_pretrained(folder)
        if self.config.adaptation.mode == "lora":
            save_adapted(model, folder, state_dict)
        else:
            model.save_pretrained(folder, state_dict=state_dict)

    def load(self, folder: Path) -> PreTrainedModel:
        if self.config.adaptation.mode == "lora":
            return load_adapted(folder)
        return self.model_class.from_pretrained(folder)


def class_settings(class_names: Sequence[str], problem_type: str, descriptions: dict[str, str]) -> dict[str, Any]:
    """
    Fields of a model's configuration that name its classes.

    Args:
        class_names (`Sequence[str]`): In the order of the logits.
        problem_type (`str`): As in the configuration.
        descriptions (`dict[str, str]`): Class -> what it means; others, and none at all, are allowed.

    Returns:
        `dict[str, Any]`
    """
    return {
        "id2label": dict(enumerate(class_names)),
        "label2id": {name: index for index, name in enumerate(class_names)},
        "problem_type": problem_type,
        "label_descriptions": {name: descriptions[name] for name in class_names if name in descriptions} or None,
    }


def figures_by_class(
    labels: np.ndarray, scores: np.ndarray, class_names: Sequence[str]
) -> tuple[float, dict[str, float]]:
    """
    How well several labels are told, each on the rows where it is known.

    Args:
        labels (`np.ndarray` of shape `(rows, classes)`): 0, 1 and NaN.
        scores (`np.ndarray` of shape `(rows, classes)`): Probabilities.
        class_names (`Sequence[str]`): Names of the classes.

    Returns:
        `tuple`: mean AUROC, and the threshold of every class that is best by F1.
    """
    aurocs, thresholds = [], {}
    for column, name in enumerate(class_names):
        known = ~np.isnan(labels[:, column])
        part = labels[known, column : column + 1], scores[known, column : column + 1]
        aurocs.append(macro_auroc(*part, (name,)))
        thresholds[name] = float(best_thresholds(*part, (name,))[0])
    return float(np.mean(aurocs)), thresholds


__all__ = ["TaskStage", "class_settings", "figures_by_class"]
