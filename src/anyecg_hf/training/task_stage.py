# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the stages of fine-tuning that do not classify records have in common: loading, watching, saving."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn
from transformers import PreTrainedModel

from anyecg_hf.models.anyecg import AnyECGConfig
from anyecg_hf.training.adapters import adapt, load_adapted, save_adapted
from anyecg_hf.training.configs import FinetuningConfig
from anyecg_hf.training.model_configs import check_fields, check_fixed, shared_with_tokenizer
from anyecg_hf.training.stage import Stage, mean_terms
from anyecg_hf.training.windows import Batch, Row


class TaskStage(Stage):
    """
    Trains a model with a head of its own on a checkpoint's backbone. Subclasses set `config` and `tokenizer` before
    they call [`~TaskStage.load_model`].

    Class attributes: `model_class`, and `head`, the prefix of the weights that a checkpoint need not have.
    """

    model_class: ClassVar[type[PreTrainedModel]]
    head: ClassVar[str]
    config: FinetuningConfig

    def load_model(self, settings: dict[str, Any]) -> PreTrainedModel:
        """
        The checkpoint with the task's head, not yet adapted.

        Args:
            settings (`dict`): Fields of the configuration that follow from the task.

        Returns:
            `PreTrainedModel`

        Raises:
            `ValueError`: for unknown or contradicting fields in `config.model`, and if the checkpoint does not fit.
        """
        config = self.config
        if config.code_weight > 0:
            raise ValueError(f"`code_weight` must be 0 for the task {config.task.name!r}: it goes with classification.")
        check_fields(AnyECGConfig, config.model)
        fixed = {**settings, **config.adaptation.loading_arguments()}
        check_fixed(config.model, {**fixed, **shared_with_tokenizer(self.tokenizer)}, "task, adaptation or tokenizer")
        model, found = self.model_class.from_pretrained(
            config.checkpoint, output_loading_info=True, ignore_mismatched_sizes=True, **{**config.model, **fixed}
        )
        absent = [*found["missing_keys"], *(key for key, *_ in found["mismatched_keys"])]
        odd = sorted(key for key in absent if not key.startswith(self.head))
        odd += sorted(key for key in found["unexpected_keys"] if key.startswith("anyecg."))
        if odd:
            raise ValueError(
                f"the model does not fit the weights of {config.checkpoint}, {len(odd)} of which would be random or"
                f" left out: {', '.join(odd[:4])}. Leave fields that shape the backbone out of `model`."
            )
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


__all__ = ["TaskStage"]
