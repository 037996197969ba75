# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Every stage of a converted model beside the same weights in their own layout."""

import contextlib
from collections.abc import Callable, Iterable, Iterator

import torch
from ancestor_models import AncestorBackbone, AncestorQuantizer
from torch import nn
from transformers import PreTrainedModel

from anyecg_hf import AnyECGForMaskedCodeModeling, AnyECGForSequenceClassification, AnyECGRhythmQuantizer

# Largest difference of a stage, per largest value.
TOLERANCE = 1e-5
_RECORDS, _PATCHES = 2, 6


def ancestor_of(model: PreTrainedModel) -> nn.Module:
    """An empty model in the ancestors' layout, of the sizes of one of ours."""
    if isinstance(model, AnyECGRhythmQuantizer):
        return AncestorQuantizer(model.config, model.decoder.frequency_head.out_features).eval()
    head = "lm_head" if isinstance(model, AnyECGForMaskedCodeModeling) else None
    head = "head" if isinstance(model, AnyECGForSequenceClassification) else head
    return AncestorBackbone(model.config, head).eval()


def stages(model: PreTrainedModel) -> dict[str, str]:
    """Module there -> module here, in the order of the forward pass."""
    if isinstance(model, AnyECGRhythmQuantizer):
        return {
            **_transformer_stages("encoder.", "embeddings", "encoder.", model.config.num_hidden_layers),
            "encode_task_layer": "code_projection",
            "decoder.patch_embed": "decoder.input_projection",
            **_block_stages("decoder.", "decoder.encoder.", model.config.num_decoder_layers),
            **{
                f"decode_task_layer_{view}": f"decoder.{view}_head"
                for view in ("morphology", "frequency", "demography")
            },
        }
    prefix = "anyecg." if hasattr(model, "anyecg") else ""
    heads = {"lm_head": "code_head", "head": "classifier"}
    return {
        **_transformer_stages("", f"{prefix}embeddings", prefix, model.config.num_hidden_layers),
        **{theirs: ours for theirs, ours in heads.items() if hasattr(model, ours)},
    }


def _transformer_stages(theirs: str, embeddings: str, ours: str, layers: int) -> dict[str, str]:
    first = {f"{theirs}patch_embed": f"{embeddings}.patch_encoder", f"{theirs}tokens": embeddings}
    return {**first, **_block_stages(theirs, ours, layers)}


def _block_stages(theirs: str, ours: str, layers: int) -> dict[str, str]:
    blocks = {f"{theirs}blocks.{index}": f"{ours}layers.{index}" for index in range(layers)}
    return {**blocks, f"{theirs}norm": f"{ours}norm"}


def example_batch(model: PreTrainedModel, seed: int = 0) -> dict[str, torch.Tensor]:
    """Noise of two records with four leads, the end of one of them padded."""
    config = model.config
    generator = torch.Generator().manual_seed(seed)
    leads = min(4, len(config.lead_names))
    longest = config.max_time_positions if config.time_encoding == "learned" else _PATCHES
    patches = min(_PATCHES, longest)
    mask = torch.ones(_RECORDS, leads, patches, dtype=torch.long)
    mask[1, :, patches // 2 + 1 :] = 0
    values = torch.randn(*mask.shape, config.patch_size, generator=generator) * mask[..., None]
    return {
        "input_values": values,
        "attention_mask": mask,
        "lead_ids": torch.arange(leads).expand(_RECORDS, -1).contiguous(),
        "scale": torch.tensor([0.08, 0.21]),
    }


@torch.no_grad()
def compare_stages(model: PreTrainedModel, ancestor: nn.Module, seed: int = 0) -> dict[str, float]:
    """
    Runs both on the same noise.

    Args:
        model (`PreTrainedModel`): Converted.
        ancestor (`nn.Module`): From [`ancestor_of`], with the weights in their own layout.
        seed (`int`, *optional*, defaults to 0): Of the noise.

    Returns:
        `dict[str, float]`: stage -> largest difference over real tokens, per largest value; for `codes` the share that
        differs.
    """
    names, batch = stages(model), example_batch(model, seed)
    real = batch["attention_mask"].bool()
    with _recorded(model, names.values()) as answers, _recorded(ancestor, names.keys()) as expected:
        if isinstance(model, AnyECGRhythmQuantizer):
            codes = model(**batch, demographics=torch.full((_RECORDS, 3), 50.0)).codes
            wanted = ancestor(batch["input_values"], batch["attention_mask"], batch["lead_ids"])
            differences = {"codes": float((wanted != codes)[real].float().mean())}
        else:
            hidden = torch.rand(real.shape, generator=torch.Generator().manual_seed(seed)) < 0.3
            model(**batch, bool_masked_pos=hidden)
            ancestor(batch["input_values"], batch["attention_mask"], batch["lead_ids"], hidden, batch["scale"])
            differences = {}
    for theirs, ours in names.items():
        differences[theirs] = _difference(expected[theirs], answers[ours], real.flatten())
    return differences


@contextlib.contextmanager
def _recorded(model: nn.Module, names: Iterable[str]) -> Iterator[dict[str, torch.Tensor]]:
    """Fills with what the named modules answer while the model runs."""
    outputs: dict[str, torch.Tensor] = {}

    def remember(name: str) -> Callable:
        def hook(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
            outputs[name] = output.detach().float()

        return hook

    handles = [model.get_submodule(name).register_forward_hook(remember(name)) for name in names]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def _difference(expected: torch.Tensor, found: torch.Tensor, real: torch.Tensor) -> float:
    if expected[..., 0].numel() == real.numel():  # a row for each token, also for padded ones
        expected, found = (each.reshape(-1, each.shape[-1])[real] for each in (expected, found))
    return float((expected - found).abs().max() / expected.abs().max().clamp(min=1e-6))
