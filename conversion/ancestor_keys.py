# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Which weight is which: an ordered table from the ancestors' names to this package's, read in both directions."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch

Tensors = tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Change:
    """
    How one tensor of theirs becomes ours and back; nothing but shapes and order changes, so both ways are bit-exact.

    Attributes:
        to_ours (`Callable`): Their tensor -> ours, in the order of the row.
        to_theirs (`Callable`): Ours -> their tensor.
    """

    to_ours: Callable[[torch.Tensor], Tensors]
    to_theirs: Callable[[Tensors], torch.Tensor]


@dataclass(frozen=True)
class Row:
    """
    One line of the table.

    Attributes:
        theirs (`str`): Name there; `{n}` stands for a number.
        ours (`tuple[str, ...]`): Names here, with the same numbers.
        change ([`Change`]): Of the values.
        number_from (`int`): What the first number is there, if it is 0 here.
    """

    theirs: str
    ours: tuple[str, ...]
    change: Change
    number_from: int = 0

    def match(self, theirs: str) -> tuple[str, ...] | None:
        """Our names of one of their weights; `None` if it is of another row."""
        found = re.fullmatch(re.escape(self.theirs).replace(r"\{n\}", r"(\d+)"), theirs)
        if found is None:
            return None
        number = int(found[1]) - self.number_from if found.groups() else None
        if number is not None and number < 0:
            return None
        return tuple(name.replace("{n}", str(number)) for name in self.ours)

    def match_back(self, ours: str) -> tuple[str, tuple[str, ...]] | None:
        """Their name for the first of our weights of a row, and all of ours; `None` if it is of another row."""
        found = re.fullmatch(re.escape(self.ours[0]).replace(r"\{n\}", r"(\d+)"), ours)
        if found is None:
            return None
        number = int(found[1]) if found.groups() else None
        theirs = self.theirs if number is None else self.theirs.replace("{n}", str(number + self.number_from))
        return theirs, tuple(name.replace("{n}", str(number)) for name in self.ours)


SAME = Change(lambda tensor: (tensor,), lambda ours: ours[0])
# Rows of a table that broadcasts over records there.
TABLE = Change(lambda tensor: (tensor[0],), lambda ours: ours[0][None])
TOKEN = Change(lambda tensor: (tensor[0, 0],), lambda ours: ours[0][None, None])
# Queries, keys and values of all heads in one map.
FUSED = Change(lambda tensor: tuple(part.clone() for part in tensor.chunk(3)), lambda ours: torch.cat(ours))
# A convolution as a matrix over samples in order, channels last. (C, c, 1, k) <-> (C, k c)
POINTWISE = Change(lambda tensor: (tensor[:, :, 0, 0],), lambda ours: ours[0][:, :, None, None])


def convolution(channels: int) -> Change:
    """For a kernel over `channels` input channels: `(C, c, 1, k)` there, `(C, k * c)` here."""
    return Change(
        lambda tensor: (tensor[:, :, 0].transpose(1, 2).flatten(1).clone(),),
        lambda ours: ours[0].unflatten(1, (-1, channels)).transpose(1, 2)[:, :, None].contiguous(),
    )


def _affine(theirs: str, ours: str, number_from: int = 0) -> list[Row]:
    return [Row(f"{theirs}.{kind}", (f"{ours}.{kind}",), SAME, number_from) for kind in ("weight", "bias")]


def _blocks(theirs: str, ours: str) -> list[Row]:
    there, here = f"{theirs}blocks.{{n}}", f"{ours}layers.{{n}}"
    heads = tuple(f"{here}.attention.{name}_proj" for name in "qkv")
    return [
        *_affine(f"{there}.norm1", f"{here}.attention_norm"),
        *(
            Row(f"{there}.attn.qkv.{kind}", tuple(f"{head}.{kind}" for head in heads), FUSED)
            for kind in ("weight", "bias")
        ),
        *_affine(f"{there}.attn.proj", f"{here}.attention.o_proj"),
        *_affine(f"{there}.norm2", f"{here}.mlp_norm"),
        *_affine(f"{there}.mlp.fc1", f"{here}.mlp.up_proj"),
        *_affine(f"{there}.mlp.fc2", f"{here}.mlp.down_proj"),
        *_affine(f"{theirs}norm", f"{ours}norm"),
    ]


def _embeddings(theirs: str, ours: str, patch_channels: Iterable[int]) -> list[Row]:
    encoder = f"{ours}patch_encoder"
    widths = [1, *patch_channels]
    rows = []
    for index in range(len(widths) - 1):
        conv, here = f"{theirs}patch_embed.conv{index + 1}", f"{encoder}.convolutions.{index}"
        rows.append(Row(f"{conv}.weight", (f"{here}.weight",), convolution(widths[index])))
        rows.append(Row(f"{conv}.bias", (f"{here}.bias",), SAME))
    return [
        *rows,
        *_affine(f"{theirs}patch_embed.norm{{n}}", f"{encoder}.norms.{{n}}", number_from=1),
        *_affine(f"{theirs}patch_embed.proj", f"{encoder}.projection"),
        Row(f"{theirs}patch_embed.skip.weight", (f"{encoder}.linear_path.weight",), SAME),
        *_positions(theirs, ours),
    ]


def _positions(theirs: str, ours: str) -> list[Row]:
    return [
        Row(f"{theirs}pos_embed", (f"{ours}lead_embeddings.weight",), TABLE),
        Row(f"{theirs}time_embed", (f"{ours}time_embeddings.weight",), TABLE),
    ]


def backbone_table(patch_channels: Iterable[int], prefix: str = "anyecg.") -> list[Row]:
    """
    The table of stage 2: backbone, code head, classifier.

    Args:
        patch_channels (`Iterable[int]`): Channels of the convolutions.
        prefix (`str`, *optional*, defaults to `"anyecg."`): Before the backbone's names here; empty for a bare one.

    Returns:
        `list[Row]`: in the order of the forward pass.
    """
    return [
        Row("mask_token", (f"{prefix}embeddings.mask_token",), TOKEN),
        *_embeddings("", f"{prefix}embeddings.", patch_channels),
        Row("scale_embed", (f"{prefix}embeddings.scale_embeddings.table.weight",), TABLE),
        *_blocks("", prefix),
        *_affine("lm_head", "code_head"),
        *_affine("head", "classifier"),
    ]


def quantizer_table(patch_channels: Iterable[int]) -> list[Row]:
    """
    The table of stage 1: encoder, codebook, decoder with its three heads.

    Args:
        patch_channels (`Iterable[int]`): Channels of the convolutions.

    Returns:
        `list[Row]`: in the order of the forward pass.
    """
    codebook = "quantizer.codebooks.0"
    return [
        *_embeddings("encoder.", "embeddings.", patch_channels),
        *_blocks("encoder.", "encoder."),
        *_affine("encode_task_layer.{n}", "code_projection.{n}"),
        Row("quantize.embedding.weight", (f"{codebook}.embeddings",), SAME),
        Row("quantize.embedding.cluster_size", (f"{codebook}.ema_counts",), SAME),
        Row("quantize.embedding.embed_avg", (f"{codebook}.ema_sums",), SAME),
        Row("quantize.embedding.initted", ("quantizer.started",), SAME),
        Row("quantize.updates", ("quantizer.updates",), SAME),
        Row("quantize.gain", (f"{codebook}.gain",), SAME),
        Row("decoder.patch_embed.proj.weight", ("decoder.input_projection.weight",), POINTWISE),
        Row("decoder.patch_embed.proj.bias", ("decoder.input_projection.bias",), SAME),
        *_positions("decoder.", "decoder."),
        *_blocks("decoder.", "decoder.encoder."),
        *_affine("decode_task_layer_morphology", "decoder.morphology_head"),
        *_affine("decode_task_layer_frequency", "decoder.frequency_head"),
        *_affine("decode_task_layer_demography", "decoder.demography_head"),
    ]


def to_ours(theirs: Mapping[str, torch.Tensor], table: list[Row]) -> dict[str, torch.Tensor]:
    """
    Args:
        theirs (`Mapping[str, torch.Tensor]`): Weights in the ancestors' layout, made plain.
        table (`list[Row]`): Of the stage.

    Returns:
        `dict[str, torch.Tensor]`: weights by this package's names.

    Raises:
        `ValueError`: names all weights that have no place here, and those of another shape than a row expects.
    """
    ours: dict[str, torch.Tensor] = {}
    strangers = []
    for name, tensor in theirs.items():
        found = next(((row, names) for row in table if (names := row.match(name)) is not None), None)
        if found is None:
            strangers.append(name)
            continue
        try:
            ours.update(zip(found[1], found[0].change.to_ours(tensor), strict=True))
        except (IndexError, RuntimeError, ValueError) as error:
            raise ValueError(f"{name} has the shape {tuple(tensor.shape)}, which {found[1]} cannot have.") from error
    if strangers:
        raise ValueError(
            f"{len(strangers)} weights have no place in AnyECG: {', '.join(strangers[:8])}. Nothing was written. If the"
            " model does not need them, leave them out with `--drop NAME`."
        )
    return ours


def to_theirs(ours: Mapping[str, torch.Tensor], table: list[Row]) -> dict[str, torch.Tensor]:
    """
    The inverse of [`to_ours`].

    Args:
        ours (`Mapping[str, torch.Tensor]`): Weights by this package's names.
        table (`list[Row]`): Of the stage.

    Returns:
        `dict[str, torch.Tensor]`: in the order of the table.

    Raises:
        `ValueError`: names all weights that the ancestors' layout has no place for.
    """
    theirs: dict[str, torch.Tensor] = {}
    used: set[str] = set()
    for row in table:
        for name in ours:
            found = row.match_back(name)
            if found is not None and all(each in ours for each in found[1]):
                theirs[found[0]] = row.change.to_theirs(tuple(ours[each] for each in found[1]))
                used.update(found[1])
    left = [name for name in ours if name not in used]
    if left:
        raise ValueError(f"{len(left)} weights have no place in the ancestors' layout: {', '.join(left[:8])}.")
    return theirs
