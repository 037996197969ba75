# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What every AnyECG model shares as a `PreTrainedModel`: supported features, default attention, strict loading."""

import os
from collections.abc import Collection, Iterable
from typing import Any

import torch

from .adapter_files_anyecg import check_adapter_in_place
from .attention_anyecg import CARDIO_SPARSE
from .checkpoint_files_anyecg import loading, refuse_pickles
from .layers_anyecg import AnyECGAttention, AnyECGLayer


class AnyECGPreTrainedMixin:
    """Stands before `PreTrainedModel` in the bases of our models."""

    main_input_name = "input_values"
    input_modalities = ("time",)
    supports_gradient_checkpointing = True
    # The losses are means over what is real in the batch, so Trainer must do the averaging over accumulation steps.
    accepts_loss_kwargs = False
    _no_split_modules = ["AnyECGLayer"]
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _drawn_weights: dict[str, float] = {}  # noqa: RUF012 - replaced, never changed
    _can_record_outputs = {"hidden_states": AnyECGLayer, "attentions": AnyECGAttention}

    def __init__(self, config, *args: Any, **kwargs: Any):
        # `from_pretrained` changes fields of the config after their check.
        config.validate_architecture()
        super().__init__(config, *args, **kwargs)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike | None,
        *args: Any,
        output_loading_info: bool = False,
        **kwargs: Any,
    ):
        """
        As [`~PreTrainedModel.from_pretrained`], but a backbone weight that the checkpoint lacks is an error, and only
        safetensors files are read.

        A missing task head is not: that is how fine-tuning starts, and `transformers` reports it. The model
        remembers it, see [`~AnyECGPreTrainedMixin.random_weights`].

        Raises:
            `ValueError`: names the missing weights, or the pickle that is not opened.
            `OSError`: if there is no such checkpoint.
        """
        with loading(pretrained_model_name_or_path, cls.__name__):
            if pretrained_model_name_or_path is not None and kwargs.get("gguf_file") is None:
                refuse_pickles(pretrained_model_name_or_path, kwargs)
                check_adapter_in_place(pretrained_model_name_or_path, kwargs)
                kwargs["use_safetensors"] = True
            model, info = super().from_pretrained(
                pretrained_model_name_or_path, *args, output_loading_info=True, **kwargs
            )
        # With `ignore_mismatched_sizes`, weights of another shape are as missing as those that are not there.
        absent = {*info["missing_keys"], *(name for name, *_ in info["mismatched_keys"])}
        model._refuse_missing(absent, str(pretrained_model_name_or_path))
        model._drawn_weights = _sums(model, absent)
        return (model, info) if output_loading_info else model

    def _move_missing_keys_from_meta_to_device(self, missing_keys: set[str], *args: Any, **kwargs: Any) -> None:
        # Before memory is taken for them, by as much as the config likes.
        self._refuse_missing(missing_keys, self.config.name_or_path)
        super()._move_missing_keys_from_meta_to_device(missing_keys, *args, **kwargs)

    def _refuse_missing(self, absent: Iterable[str], checkpoint: str) -> None:
        prefix = f"{self.base_model_prefix}." if hasattr(self, self.base_model_prefix) else ""
        missing = sorted(name for name in absent if name.startswith(prefix))
        if missing:
            raise ValueError(
                f"the checkpoint {checkpoint!r} lacks {len(missing)} weights of {type(self).__name__}, for example"
                f" {missing[:3]}: they would be random numbers. Is it a complete AnyECG checkpoint of this size?"
            )

    def random_weights(self) -> list[str]:
        """
        Names of the weights that the checkpoint lacked, if all of them still are what they were at loading; none as
        soon as any was trained or set.
        """
        # An adapter may have brought its own head: what it replaces stands under another name.
        return sorted(self._drawn_weights) if self._drawn_weights == _sums(self, self._drawn_weights) else []

    def get_correct_attn_implementation(self, requested_attention: str | None, is_init_check: bool = False) -> str:
        """Cardio-sparse unless the user names an implementation."""
        return super().get_correct_attn_implementation(requested_attention or CARDIO_SPARSE, is_init_check)


def _sums(model: torch.nn.Module, names: Collection[str]) -> dict[str, float]:
    """Sums of the named weights that are at hand."""
    if not names:
        return {}
    state = model.state_dict()
    found = {name: state[name] for name in names if name in state}
    return {name: float(value.double().sum()) for name, value in found.items() if value.device.type != "meta"}


__all__ = ["AnyECGPreTrainedMixin"]
